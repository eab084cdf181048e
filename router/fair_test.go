package router_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/loopmq/loopmq/router"
)

// varied subscribes c to every filter of so many levels "a" and "+", with end behind them.
func varied(c *fakeConn, levels int, end string) {
	for n := range 1 << levels {
		filter := strings.Builder{}
		for i := range levels {
			filter.WriteString([]string{"a", "+"}[n>>i&1] + "/")
		}
		c.feed(packet(0x82, "\x00\x01", str(filter.String()+end), "\x00"))
		c.expect("90 03 0001 00")
	}
}

// inPieces feeds messages in one read, which must take more than a pass, and sees them handled.
func inPieces(t *testing.T, p *fakeConn, one []byte, messages int) {
	t.Helper()
	p.feed(bytes.Repeat(one, messages))
	if len(p.tail) == 0 || p.resumed != 1 {
		t.Fatalf("%d bytes left, resumed %d times; want some to be left for the next pass", len(p.tail), p.resumed)
	}
	for passes := 0; len(p.tail) > 0; passes++ {
		if passes > messages {
			t.Fatal("they never come to an end")
		}
		p.feed(nil)
	}
}

// A read full of messages that each meet very many filters is not handled in one go: others would have to wait for
// it. What is left comes in the next pass.
func TestMessagesThatMeetManyFiltersComeInPieces(t *testing.T) {
	const levels, messages = 10, 200
	w := newWorld(t, router.Limits{})
	c := w.join("c")
	varied(c, levels, "")
	p := w.join("p")
	topic := strings.Repeat("a/", levels)
	one := bytesOf(t, fmt.Sprintf("30 %02x %04x '%s'", 2+len(topic), len(topic), topic))
	inPieces(t, p, one, messages)
	if got := c.take(); !bytes.Equal(got, bytes.Repeat(one, messages)) {
		t.Errorf("got %d bytes, want %d messages of %d bytes", len(got), messages, len(one))
	}
}

// The same where none of the filters matches in the end: finding that out is work, too.
func TestMessagesThatNearlyMeetManyFiltersComeInPieces(t *testing.T) {
	const levels, messages = 12, 20
	w := newWorld(t, router.Limits{})
	c := w.join("c")
	varied(c, levels, "b")
	p := w.join("p")
	topic := strings.Repeat("a/", levels) + "c"
	inPieces(t, p, bytesOf(t, fmt.Sprintf("30 %02x %04x '%s'", 2+len(topic), len(topic), topic)), messages)
}

// TestSubscribesThatLookForRetainedMessagesComeInPieces: each of many packets has the first piece of what is retained
// looked through at once, and all of them together are no more than a turn.
func TestSubscribesThatLookForRetainedMessagesComeInPieces(t *testing.T) {
	const topics, packets = 300, 50
	w := newWorld(t, router.Limits{})
	p := w.join("p")
	for i := range topics {
		p.feed(packet(0x31, str(fmt.Sprint("a/", i, "/b")), "x"))
	}
	c := w.join("c")
	c.feed(bytes.Repeat(bytesOf(t, "82 0a 0001 0005 '+/+/c' 00"), packets))
	if got := len(c.take()) / 5; got == 0 || got > 4 || c.resumed != 1 {
		t.Errorf("%d of %d are answered in one turn", got, packets)
	}
	for range packets {
		c.feed(nil)
	}
	if got := len(c.take()) / 5; got < packets-4 || len(c.tail) > 0 {
		t.Errorf("%d of %d are answered afterwards", got, packets)
	}
}
