package main

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/lmittmann/tint"
)

// TestLogOnATerminal: what a peer has chosen does nothing to the terminal, also where
// the text is in quotes already.
func TestLogOnATerminal(t *testing.T) {
	for _, text := range []string{"\x1b[2J", "a b\x1b]0;title\x07", `a \x1b[2J`, `a \\x1b[2J`, "\u009b2J \n", "a \xff\x9b2J"} {
		var out bytes.Buffer
		log := slog.New(tint.NewTextHandler(&out, forPeople(slog.LevelInfo, true)))
		log.Info("m", "k", text, "e", errors.New(text), "g", slog.GroupValue(slog.String("in", text)))
		line := out.String()
		for _, ours := range []string{"\x1b[2m", "\x1b[0m", "\x1b[92m"} {
			line = strings.ReplaceAll(line, ours, "")
		}
		if strings.ContainsAny(line, "\x1b\x07\u009b") || strings.Contains(line, "\x9b") || strings.Count(line, "\n") != 1 || !strings.Contains(line, "INF m k=") {
			t.Errorf("%q comes out as %q", text, line)
		}
	}
}
