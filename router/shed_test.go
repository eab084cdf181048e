package router_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/loopmq/loopmq/router"
)

// TestWhoIsConnectedKeepsNobodyOut: what clients have in flight and do not acknowledge fills no memory for good. Once
// that has lasted for hold-timeout who holds most is disconnected, until there is room; nobody is where others fill it.
func TestWhoIsConnectedKeepsNobodyOut(t *testing.T) {
	for _, size := range []int{10_000, 100} {
		w := newWorld(t, router.Limits{})
		p := w.join("p")
		var all []*fakeConn
		for i := range 6 {
			c, topic := w.join5(fmt.Sprint("h", i), ""), fmt.Sprint("t", i)
			c.send(fmt.Sprintf("82 08 0001 00 0002 '%s' 01", topic))
			for id := range 8 + 2*i {
				p.feed(longPacket(0x32, lengthed(topic), []byte{1, byte(id)}, make([]byte, size)))
			}
			c.take()
			all = append(all, c)
		}
		p.take()
		w.pass(func() {
			w.r.Change(router.Config{Limits: router.Limits{MemoryBytesMax: 1_000_000, HoldTimeout: 5 * time.Second}})
			w.r.SetMemoryElsewhere(910_000 - w.r.MemoryUsed())
		})
		p.send("32 06 0001 't' 0001 'x'")
		p.take()
		p.send("32 06 0001 't' 0002 'x' c0 00") // waits in the loop
		w.connect("new", true).expect("20 02 00 03")
		for range 49 {
			w.sleep(0.1)
		}
		for i, c := range all {
			if c.closing {
				t.Errorf("%d is disconnected before hold-timeout", i)
			}
		}
		for range 30 {
			w.sleep(0.1)
		}
		for i, c := range all {
			if c.closing != (size == 10_000 && i == 5) {
				t.Errorf("%d with messages of %d bytes: closing is %v", i, size, c.closing)
			}
		}
		if size == 100 {
			continue
		}
		if out := all[5].take(); len(out) < 3 || out[0] != 0xe0 || out[2] != 0x97 {
			t.Errorf("told % x", out)
		}
		w.connect("new", true).expect("20 02 00 00")
		p.feed(nil)
		p.expect("40 02 0002 d0 00")
		if n := w.r.Stats().Shed; n != 1 {
			t.Errorf("%d are counted", n)
		}
	}
}

// TestWhoReadsIsNotShedForOthers: many filters are no reason to go for who acknowledges, beside others who hold less, but
// acknowledge nothing of it; unless filters are what fills the memory. The kernel is asked for nobody's output.
func TestWhoReadsIsNotShedForOthers(t *testing.T) {
	for _, each := range []int{6, 0} {
		w := newWorld(t, router.Limits{})
		p, big := w.join("p"), w.join("big")
		for i := range 1000 {
			big.send(fmt.Sprintf("82 09 0001 0004 '%04d' 01", i))
			big.take()
		}
		var all []*fakeConn
		for i := range 6 {
			c, topic := w.join5(fmt.Sprint("h", i), ""), fmt.Sprint("t", i)
			c.send(fmt.Sprintf("82 08 0001 00 0002 '%s' 01", topic))
			for id := range each {
				p.feed(longPacket(0x32, lengthed(topic), []byte{1, byte(id)}, make([]byte, 10_000)))
			}
			c.take()
			all = append(all, c)
		}
		w.pass(func() {
			w.r.Change(router.Config{Limits: router.Limits{MemoryBytesMax: 1_000_000, HoldTimeout: 5 * time.Second}})
			w.r.SetMemoryElsewhere(910_000 - w.r.MemoryUsed())
		})
		for range 100 {
			w.sleep(0.1)
		}
		gone := 0
		for _, c := range all {
			if c.closing {
				gone++
			}
			if c.asked > 0 {
				t.Errorf("what it has taken was asked for %d times", c.asked)
			}
		}
		if big.closing != (each == 0) || gone != each/3 {
			t.Errorf("with %d messages in flight: %d are disconnected, and who has many filters: %v", each, gone, big.closing)
		}
	}
}

// TestNobodyIsShedWhenThereIsRoomAgain: a round that began while the memory was full may end when it is not.
func TestNobodyIsShedWhenThereIsRoomAgain(t *testing.T) {
	w := newWorld(t, router.Limits{})
	w.sleep(100)
	var c *fakeConn
	for i := range 1100 {
		if o := w.join(fmt.Sprint("c", i)); i == 100 {
			c = o
		}
	}
	c.send("82 06 0001 0001 't' 01")
	p := w.join("p")
	for id := range 25 {
		p.feed(longPacket(0x32, lengthed("t"), []byte{1, byte(id)}, make([]byte, 100_000)))
	}
	limit := func(percent int64) {
		w.pass(func() { w.r.SetMemoryElsewhere(0); w.r.SetMemoryElsewhere(percent*100_000 - w.r.MemoryUsed()) })
	}
	w.pass(func() {
		w.r.Change(router.Config{Limits: router.Limits{MemoryBytesMax: 10_000_000, HoldTimeout: 5 * time.Second}})
	})
	limit(95)
	limit(72)
	w.settle()
	if n := w.r.Stats().Shed; n != 0 || c.closing {
		t.Errorf("%d are disconnected", n)
	}
}

// TestGuessesOfWhatIsHeld: three long messages may have all look as long, which is more than an int of 32 bits.
func TestGuessesOfWhatIsHeld(t *testing.T) {
	for window, messages := range map[int]int{1: 602, 601: 601} { // all but the first wait, or none
		w := newWorld(t, router.Limits{
			PacketBytesMax: 8 << 20, QueuedBytesMax: 64 << 20, InflightMax: window, MemoryBytesMax: 1 << 30,
		})
		c, p := w.connect("c", false), w.join("p")
		c.send("82 06 0001 0001 't' 01")
		for i := range messages {
			size := 1
			if i%300 == messages-601 { // the first, the one in the middle and the last of those that are looked at
				size = 4 << 20
			}
			p.feed(longPacket(0x32, lengthed("t"), []byte{1, 1}, make([]byte, size)))
		}
		c.take()
		w.pass(func() { c.closing = true })
		w.pass(func() { w.r.SetMemoryElsewhere(900 << 20) })
		w.settle()
		if st := w.r.Stats(); st.Trims+st.Purged == 0 {
			t.Errorf("window of %d: %d were cut, %d dropped", window, st.Trims, st.Purged)
		}
	}
}
