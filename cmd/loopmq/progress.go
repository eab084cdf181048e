package main

import (
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/urfave/cli/v2"
	"golang.org/x/term"

	"github.com/loopmq/loopmq/bench/mqttbench"
)

// progress tells on standard error how far a measurement is: a bar that is
// rewritten on a terminal, otherwise a line from time to time.
type progress struct {
	quiet, terminal bool
	width           int
	total           int64 // messages; 0: not known
	next            time.Duration
	before          mqttbench.Sample
	drawn           bool
}

// progressEvery is the time between two lines in a file or pipe.
const progressEvery = 10 * time.Second

func newProgress(c *cli.Context, total int64) *progress {
	p := &progress{quiet: c.Bool("quiet"), total: total, next: progressEvery, width: 80}
	fd := int(os.Stderr.Fd())
	if p.terminal = term.IsTerminal(fd); p.terminal {
		if w, _, err := term.GetSize(fd); err == nil && w > 0 {
			p.width = w
		}
	}
	return p
}

// show is called with every sample.
func (p *progress) show(s mqttbench.Sample) {
	switch {
	case p.quiet || s.At == 0:
	case p.terminal && s.At > time.Second/5:
		// To the left edge, the text, and delete what is behind it.
		fmt.Fprintf(os.Stderr, "\r%s\x1b[K", bar(&p.before, &s, p.total, p.width-1))
		p.drawn = true
	case !p.terminal && s.At >= p.next:
		p.next += progressEvery
		fmt.Fprintln(os.Stderr, summary(&p.before, &s, p.total))
	default:
		return // keeps before: a rate over the whole time since the last line
	}
	p.before = s
}

// end takes the bar away.
func (p *progress) end() {
	if p.drawn {
		fmt.Fprint(os.Stderr, "\r\x1b[K")
	}
}

// summary is the state in words.
func summary(before, s *mqttbench.Sample, total int64) string {
	done := fmt.Sprint(s.Done)
	if total > 0 {
		done = fmt.Sprintf("%d of %d", s.Done, total)
	}
	text := fmt.Sprintf("%v: %s messages, %.0f/s", s.At.Round(time.Second), done, rate(before, s))
	if s.Failed > 0 {
		text += fmt.Sprintf(", %d failed", s.Failed)
	}
	return text
}

func rate(before, s *mqttbench.Sample) float64 {
	if s.At <= before.At {
		return 0
	}
	return float64(s.Done-before.Done) / (s.At - before.At).Seconds()
}

// bar is the state in at most width columns.
func bar(before, s *mqttbench.Sample, total int64, width int) string {
	text := summary(before, s, total)
	room := min(width-len(text)-3, 40)
	if total > 0 && room >= 8 {
		full := int(int64(room) * min(s.Done+s.Failed, total) / total)
		text = "[" + strings.Repeat("=", full) + strings.Repeat(" ", room-full) + "] " + text
	}
	return text[:min(len(text), max(width, 0))]
}
