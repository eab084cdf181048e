package router_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/loopmq/loopmq/router"
)

// A read full of messages that each meet very many filters is not handled in one go: others would have to wait for
// it. What is left comes in the next pass.
func TestMessagesThatMeetManyFiltersComeInPieces(t *testing.T) {
	const levels, messages = 10, 200
	w := newWorld(t, router.Limits{})
	c := w.join("c")
	for n := range 1 << levels {
		filter := strings.Builder{}
		for i := range levels {
			filter.WriteString([]string{"a", "+"}[n>>i&1] + "/")
		}
		c.send(fmt.Sprintf("82 %02x 0001 %04x '%s' 00", 5+2*levels, 2*levels, filter.String()))
		c.expect("90 03 0001 00")
	}
	p := w.join("p")
	topic := strings.Repeat("a/", levels)
	one := bytesOf(t, fmt.Sprintf("30 %02x %04x '%s'", 2+len(topic), len(topic), topic))
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
	if got := c.take(); !bytes.Equal(got, bytes.Repeat(one, messages)) {
		t.Errorf("got %d bytes, want %d messages of %d bytes", len(got), messages, len(one))
	}
}

// The same where none of the filters matches in the end: finding that out is work, too.
func TestMessagesThatNearlyMeetManyFiltersComeInPieces(t *testing.T) {
	const levels, messages = 12, 20
	w := newWorld(t, router.Limits{})
	c := w.join("c")
	for n := range 1 << levels {
		filter := strings.Builder{}
		for i := range levels {
			filter.WriteString([]string{"a", "+"}[n>>i&1] + "/")
		}
		c.send(fmt.Sprintf("82 %02x 0001 %04x '%sb' 00", 6+2*levels, 1+2*levels, filter.String()))
		c.expect("90 03 0001 00")
	}
	p := w.join("p")
	topic := strings.Repeat("a/", levels) + "c"
	p.feed(bytes.Repeat(bytesOf(t, fmt.Sprintf("30 %02x %04x '%s'", 2+len(topic), len(topic), topic)), messages))
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
