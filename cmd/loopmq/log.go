package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"log/syslog"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/lmittmann/tint"
	"golang.org/x/term"
)

// logFileMode is the mode of a log file: names and addresses of clients are in
// it.
const logFileMode = 0o640

// logTo is where the log goes.
type logTo struct {
	level slog.LevelVar
	file  *logFile // nil: no file
	*slog.Logger
}

// openLog makes the log. to is stderr, journal, syslog or the path of a file.
func openLog(to, level, format string) (*logTo, error) {
	l := &logTo{}
	if err := l.setLevel(level); err != nil {
		return nil, err
	}
	var w io.Writer = os.Stderr
	switch to {
	case "", "stderr":
		if format == "auto" && os.Getenv("JOURNAL_STREAM") != "" {
			to = "journal"
		}
	case "journal":
	case "syslog":
		s, err := syslog.New(syslog.LOG_DAEMON|syslog.LOG_INFO, "loopmq")
		if err != nil {
			return nil, fmt.Errorf("log to syslog: %w", err)
		}
		l.Logger = slog.New(&leveled{write: syslogWriter(s), options: l.options(false)})
		return l, nil
	default:
		l.file = &logFile{path: to}
		if err := l.file.reopen(); err != nil {
			return nil, err
		}
		w = l.file
	}
	if to == "journal" {
		l.Logger = slog.New(&leveled{write: journalWriter(os.Stderr), options: l.options(false)})
		return l, nil
	}
	h, err := handlerOf(w, format, l.options(true))
	if err != nil {
		return nil, err
	}
	l.Logger = slog.New(h)
	return l, nil
}

// setLevel changes what is written from now on.
func (l *logTo) setLevel(level string) error {
	var parsed slog.Level
	if err := parsed.UnmarshalText([]byte(level)); err != nil {
		return fmt.Errorf("log level %q: use debug, info, warn or error", level)
	}
	l.level.Set(parsed)
	return nil
}

// reopen begins a new file where the old one was moved away.
func (l *logTo) reopen() error {
	if l.file == nil {
		return nil
	}
	return l.file.reopen()
}

// options are those of the handlers; journal and syslog have times of their own.
func (l *logTo) options(timed bool) *slog.HandlerOptions {
	o := &slog.HandlerOptions{Level: &l.level}
	if !timed {
		o.ReplaceAttr = func(groups []string, a slog.Attr) slog.Attr {
			if len(groups) == 0 && (a.Key == slog.TimeKey || a.Key == slog.LevelKey) {
				return slog.Attr{}
			}
			return a
		}
	}
	return o
}

// handlerOf writes lines of a format.
func handlerOf(w io.Writer, format string, o *slog.HandlerOptions) (slog.Handler, error) {
	terminal := false
	if f, ok := w.(*os.File); ok {
		terminal = term.IsTerminal(int(f.Fd()))
	}
	if format == "auto" {
		format = "logfmt"
		if terminal {
			format = "text"
		}
	}
	switch format {
	case "text":
		return tint.NewTextHandler(w, forPeople(o.Level, terminal)), nil
	case "logfmt":
		return slog.NewTextHandler(w, o), nil
	case "json":
		return slog.NewJSONHandler(w, o), nil
	}
	return nil, fmt.Errorf("log format %q: use auto, text, logfmt or json", format)
}

func forPeople(level slog.Leveler, terminal bool) *tint.Options {
	return &tint.Options{Level: level, TimeFormat: time.TimeOnly, NoColor: !terminal, ReplaceAttr: harmless}
}

// harmless takes the escape characters out of what a peer may have chosen: tint hands
// them to the terminal, and makes them even of their name in a Go string.
func harmless(_ []string, a slog.Attr) slog.Attr {
	text := a.Value.String()
	if safe := strings.NewReplacer("\x1b", `\u001b`, `\x1b`, `\u001b`).Replace(text); safe != text {
		a.Value = slog.StringValue(safe)
	}
	return a
}

// logFile is a file that can be moved away and begun anew.
type logFile struct {
	path string
	mu   sync.Mutex
	f    *os.File
}

// Write implements io.Writer.
func (l *logFile) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.f.Write(p)
}

func (l *logFile) reopen() error {
	f, err := os.OpenFile(l.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, logFileMode)
	if err != nil {
		return fmt.Errorf("log to a file: %w", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.f != nil {
		l.f.Close()
	}
	l.f = f
	return nil
}

// leveled hands each line to a function that is told its level.
type leveled struct {
	write   func(slog.Level, []byte) error
	options *slog.HandlerOptions
	attrs   []slog.Attr
	group   string
}

// Enabled implements slog.Handler.
func (h *leveled) Enabled(_ context.Context, l slog.Level) bool { return l >= h.options.Level.Level() }

// Handle implements slog.Handler.
func (h *leveled) Handle(ctx context.Context, r slog.Record) error {
	var line bytes.Buffer
	var inner slog.Handler = slog.NewTextHandler(&line, h.options).WithAttrs(h.attrs)
	if h.group != "" {
		inner = inner.WithGroup(h.group)
	}
	if err := inner.Handle(ctx, r); err != nil {
		return err
	}
	return h.write(r.Level, line.Bytes())
}

// WithAttrs implements slog.Handler.
func (h *leveled) WithAttrs(attrs []slog.Attr) slog.Handler {
	c := *h
	c.attrs = append(append([]slog.Attr(nil), h.attrs...), attrs...)
	return &c
}

// WithGroup implements slog.Handler; nested groups are not used here.
func (h *leveled) WithGroup(name string) slog.Handler {
	c := *h
	c.group = name
	return &c
}

// journalWriter puts the priority in front of each line, as the journal reads
// it (sd-daemon(3)).
func journalWriter(w io.Writer) func(slog.Level, []byte) error {
	return func(l slog.Level, line []byte) error {
		priority := "<6>"
		switch {
		case l >= slog.LevelError:
			priority = "<3>"
		case l >= slog.LevelWarn:
			priority = "<4>"
		case l < slog.LevelInfo:
			priority = "<7>"
		}
		_, err := w.Write(append([]byte(priority), line...))
		return err
	}
}

// syslogWriter sends each line with its priority.
func syslogWriter(s *syslog.Writer) func(slog.Level, []byte) error {
	return func(l slog.Level, line []byte) error {
		switch text := string(line); {
		case l >= slog.LevelError:
			return s.Err(text)
		case l >= slog.LevelWarn:
			return s.Warning(text)
		case l >= slog.LevelInfo:
			return s.Info(text)
		default:
			return s.Debug(text)
		}
	}
}
