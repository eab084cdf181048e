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

// What is retained may be where the walks of many sessions stand that do not acknowledge. Each is moved on before it is
// taken away, and whoever does that with one message after the other does not hold up the others.
func TestRetainedMessagesThatManyWaitAtAreTakenAwayInPieces(t *testing.T) {
	const topics, sessions = 100, 300
	w := newWorld(t, router.Limits{InflightMax: 1})
	p := w.join("p")
	var away []byte
	for i := range topics {
		name := fmt.Sprint("a/", i)
		p.feed(packet(0x33, str(name), "\x00\x01x"))
		away = append(packet(0x31, str(name)), away...) // in the order of the walks
	}
	for i := range sessions {
		c := w.join(fmt.Sprint("c", i))
		c.feed(bytesOf(t, "82 08 0001 0003 'a/#' 01"))
	}
	p.feed(away)
	if len(p.tail) == 0 || p.resumed != 1 {
		t.Fatalf("%d bytes left, resumed %d times; want some to be left for the next pass", len(p.tail), p.resumed)
	}
	for len(p.tail) > 0 {
		p.feed(nil)
	}
}

// An acknowledgement in the midst of thousands of messages in flight is work: those behind it move up, and once their
// numbers have gone round it is searched for. A read full of them does not hold up the others.
func TestAcknowledgementsAmongManyComeInPieces(t *testing.T) {
	const window = 4000
	for _, round := range []bool{false, true} {
		w := newWorld(t, router.Limits{InflightMax: 65_535, QueuedMessagesMax: window})
		c, p := w.join("c"), w.join("p")
		c.send("82 06 0001 0001 't' 01")
		c.take()
		var acks []byte // in the order of the messages
		fill := func(n int) {
			for p.feed(bytes.Repeat(bytesOf(t, "32 06 0001 't' 0001 'x'"), n)); len(p.tail) > 0; {
				p.feed(nil)
			}
			p.take()
			acks = acks[:0]
			for out := c.take(); len(out) > 0; out = c.take() {
				for ; len(out) > 0; out = out[8:] {
					acks = append(acks, 0x40, 2, out[5], out[6])
				}
			}
		}
		fill(window)
		half := 4 * window / 2
		if round {
			for from := 4; len(acks) > 0; from = 0 { // all but the first, until there is no other PacketID
				c.feed(acks[from:])
				for len(c.tail) > 0 {
					c.feed(nil)
				}
				if w.r.Stats().Inflight != 1 {
					t.Fatalf("%d messages in flight", w.r.Stats().Inflight)
				}
				if fill(window); w.r.Stats().Delivered[1] > 65_535+window {
					break
				}
			}
			half = len(acks) - 400 // the last: nobody moves
		}
		before := c.resumed
		c.feed(acks[half : half+400])
		if len(c.tail) == 0 || c.resumed != before+1 {
			t.Fatalf("round %v: %d bytes left, resumed %d times; want some to be left for the next pass", round, len(c.tail), c.resumed-before)
		}
	}
}
