package main

import (
	"cmp"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/term"

	"github.com/loopmq/loopmq/bench/mqttbench"
)

// goal is what a measurement is on its way to.
type goal struct {
	name     string        // what is measured; may be empty
	messages int64         // 0: not known
	lasts    time.Duration // 0: until the messages are done
	count    func(*mqttbench.Sample) int64
	what     string // that count counts; empty: messages
}

func acknowledged(s *mqttbench.Sample) int64 { return s.Done }
func delivered(s *mqttbench.Sample) int64    { return s.Delivered }

// progress tells on standard error how far a measurement is: a bar that is
// rewritten on a terminal, otherwise a line from time to time.
type progress struct {
	goal
	quiet, terminal bool
	width           int
	next            time.Duration
	before          mqttbench.Sample
	drawn           bool
}

// progressEvery is the time between two lines in a file or pipe.
const progressEvery = 10 * time.Second

func newProgress(quiet bool, g goal) *progress {
	p := &progress{goal: g, quiet: quiet, next: progressEvery, width: 80}
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
		fmt.Fprintf(os.Stderr, "\r%s\x1b[K", p.bar(&s, p.width-1))
		p.drawn = true
	case !p.terminal && s.At >= p.next:
		p.next += progressEvery
		fmt.Fprintln(os.Stderr, p.summary(&s))
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
func (p *progress) summary(s *mqttbench.Sample) string {
	text := s.At.Round(time.Second).String()
	if p.lasts > 0 {
		text += " of " + p.lasts.String()
	}
	if p.name != "" {
		text = p.name + ", " + text
	}
	text += fmt.Sprintf(": %d", p.count(s))
	if p.messages > 0 {
		text += fmt.Sprintf(" of %d", p.messages)
	}
	text += fmt.Sprintf(" %s, %.0f/s", cmp.Or(p.what, "messages"), p.rate(s))
	if s.Failed > 0 {
		text += fmt.Sprintf(", %d failed", s.Failed)
	}
	return text
}

func (p *progress) rate(s *mqttbench.Sample) float64 {
	if s.At <= p.before.At {
		return 0
	}
	return float64(p.count(s)-p.count(&p.before)) / (s.At - p.before.At).Seconds()
}

// share is how much is done, 0 to 1; known is false if that cannot be said.
func (p *progress) share(s *mqttbench.Sample) (share float64, known bool) {
	switch {
	case p.messages > 0:
		share = float64(p.count(s)+s.Failed) / float64(p.messages)
	case p.lasts > 0:
		share = float64(s.At) / float64(p.lasts)
	default:
		return 0, false
	}
	return min(share, 1), true
}

// bar is the state in at most width columns.
func (p *progress) bar(s *mqttbench.Sample, width int) string {
	text := p.summary(s)
	room := min(width-len(text)-3, 40) / 8 * 8 // not another width with each digit
	if share, known := p.share(s); known && room >= 8 {
		full := int(float64(room) * share)
		text = "[" + strings.Repeat("=", full) + strings.Repeat(" ", room-full) + "] " + text
	}
	return text[:min(len(text), max(width, 0))]
}
