package router_test

import (
	"testing"

	"github.com/loopmq/loopmq/router"
	"github.com/loopmq/loopmq/store"
)

// A value that does not fit is refused where its publisher can be told so, and
// else takes away what its topic has: nobody is sent a value that is no longer
// true.
func TestRetainedValueThatDoesNotFit(t *testing.T) {
	const reason = "1f 0031 'no room to retain the message; retained-bytes-max'"
	for _, row := range []struct {
		name, first, topic string // of a client of 5.0; "": of 3.x
		five               bool
		answer             string
		stays              bool
	}{
		{"5.0, QoS 1", "32", "'t' 0001 00", true, "40 38 0001 97 34" + reason, true},
		{"5.0, QoS 2", "34", "'t' 0001 00", true, "50 38 0001 97 34" + reason, true},
		{"5.0, QoS 0", "30", "'t' 00", true, "", false},
		{"3.x, QoS 1", "32", "'t' 0001", false, "40 02 0001", false},
		{"3.x, QoS 2", "34", "'t' 0001", false, "50 02 0001", false},
		{"3.x, QoS 0", "30", "'t'", false, "", false},
	} {
		t.Run(row.name, func(t *testing.T) {
			w := newWorld(t, router.Limits{RetainedBytesMax: 8})
			p, s := w.join("p"), w.join("s")
			if p.send("31 04 0001 't' 'x'"); row.five {
				p = w.join5("five", "")
			}
			s.send("82 06 0001 0001 't' 00")
			s.expect("90 03 0001 00 31 04 0001 't' 'x'")
			first := bytesOf(t, row.first)[0] | 1
			p.feed(packet(first, string(bytesOf(t, "0001"+row.topic)), "12345678"))
			p.expect(row.answer)
			if row.stays {
				s.expect("")
			} else {
				s.expect("30 0b 0001 't' '12345678'")
			}
			s.send("82 06 0002 0001 't' 00")
			if row.stays {
				s.expect("90 03 0002 00 31 04 0001 't' 'x'")
			} else {
				s.expect("90 03 0002 00")
			}
		})
	}
}

// A topic more than there may be is refused in the same way, as is one more than
// its user may have.
func TestRetainedTopicTooMany(t *testing.T) {
	w := newWorld(t, router.Limits{RetainedMessagesMax: 1})
	p := w.join5("p", "")
	p.send("33 07 0001 't' 0001 00 'x'")
	p.expect("40 03 0001 10")
	p.send("33 07 0001 'u' 0002 00 'x'")
	p.expect("40 4b 0002 97 47 1f 0044 'as many topics have a retained message as may; retained-messages-max'")
	p.send("33 07 0001 't' 0003 00 'y' 33 06 0001 'u' 0004 00") // another value; none where there is none
	p.expect("40 03 0003 10 40 03 0004 10")
	if n := w.r.Stats().Retained; n != 1 {
		t.Errorf("%d retained, want 1", n)
	}
}

// What takes a retained message away is not acknowledged before that lasts.
func TestRetainedValueThatDoesNotFitLasts(t *testing.T) {
	d := newDurable(t, router.Limits{RetainedBytesMax: 8})
	p, q := d.connect("p", true), d.connect("q", true)
	p.send("33 06 0001 't' 0001 'x'")
	d.flush()
	p.take()
	q.take()
	long := packet(0x33, str("t"), "\x00\x02", "12345678")
	p.feed(long)
	q.feed(long) // another has taken it away
	p.expect("")
	q.expect("")
	d.flush()
	p.expect("40 02 0002")
	q.expect("40 02 0002")
	if n := d.crash(store.FlightLost, 0).r.Stats().Retained; n != 0 {
		t.Errorf("%d retained after a crash, want none", n)
	}
}
