package router_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/loopmq/loopmq/router"
)

// newHeap is a router whose sessions stay, with a limit and a publisher.
func newHeap(t *testing.T, limit int) *heap {
	c := &heap{t: t, r: router.New(router.Config{Rand: func() uint64 { return 1 }, Limits: router.Limits{
		MemoryBytesMax: limit, QueuedMessagesMax: 1 << 20, QueuedBytesMax: 1 << 30, SessionExpiry: time.Hour,
	}})}
	c.r.BeginPass(1)
	c.publisher = c.join(0x02)
	return c
}

// press has something else take so much that used is in use, and runs rounds of trimming until they change nothing.
func (c *heap) press(used int64) (rounds int) {
	c.t.Helper()
	c.r.SetMemoryElsewhere(used - c.r.MemoryUsed())
	now, last, quiet := int64(2), c.r.Stats().Trims, 0
	for rounds = 0; quiet < 20; rounds++ {
		if rounds == 2000 {
			c.t.Fatal("the rounds do not come to an end")
		}
		now += 1e8 + 1
		for wake := now; wake == now; {
			c.r.BeginPass(now)
			wake = c.r.EndPass()
		}
		if quiet++; c.r.Stats().Trims != last {
			last, quiet = c.r.Stats().Trims, 0
		}
	}
	if err := c.r.CheckInvariants(); err != nil {
		c.t.Fatal(err)
	}
	return rounds
}

func (c *heap) waiting() map[string]int {
	n := map[string]int{}
	for _, b := range c.r.Backlogs(1000) {
		n[b.ClientID] = b.Messages
	}
	return n
}

// TestWhatWaitsForManyIsNoReasonToCut: sixty queues of the same messages take little more than one of them.
func TestWhatWaitsForManyIsNoReasonToCut(t *testing.T) {
	c := newHeap(t, 64<<20)
	c.queues(60, 1, 1000, 8000)
	c.press(c.r.MemoryUsed())
	st := c.r.Stats()
	if st.Trims != 0 || st.QueuedBytes < 60*1000*8000 || c.r.MemoryUsed() > 16<<20 {
		t.Errorf("%d backlogs cut, %d bytes wait, %d are counted", st.Trims, st.QueuedBytes, c.r.MemoryUsed())
	}
}

// TestWhatWaitsForManyIsCutLittle: its messages are free when all have lost them, so each loses about what is too much.
func TestWhatWaitsForManyIsCutLittle(t *testing.T) {
	c := newHeap(t, 32<<20)
	c.queues(60, 1, 2000, 8000)
	rounds := c.press(32 << 20 / 100 * 72)
	if used := c.r.MemoryUsed(); used > 32<<20/100*70 {
		t.Errorf("%d bytes are in use after %d rounds", used, rounds)
	}
	for id, n := range c.waiting() {
		if n < 1200 { // 5 % of the limit are a tenth of what there is
			t.Errorf("%s has %d of 2000 messages left", id, n)
		}
	}
}

// TestWhatIsFreeIsCutFirst: a queue whose messages nobody else holds, and not one with more of them that others hold, too.
func TestWhatIsFreeIsCutFirst(t *testing.T) {
	c := newHeap(t, 32<<20)
	c.queues(30, 1, 1000, 8000)
	mine := c.join(0)
	c.data(mine, longPacket(0x82, []byte{0, 1}, lengthed("mine"), []byte{1}))
	mine.Closed(nil)
	for range 700 {
		c.publish("mine", 8000)
	}
	c.press(32 << 20 / 100 * 72)
	for id, n := range c.waiting() {
		if own := id == fmt.Sprintf("%07d", c.joined); own && (n > 600 || n < 350) || !own && n != 1000 {
			t.Errorf("%s has %d messages left", id, n)
		}
	}
}

// TestNothingIsCutInVain: what is retained as well is not free when a queue loses it, nor does it help to cut a few bytes
// where something else fills the memory.
func TestNothingIsCutInVain(t *testing.T) {
	c := newHeap(t, 32<<20)
	s := c.join(0)
	c.data(s, longPacket(0x82, []byte{0, 1}, lengthed("r/#"), []byte{1}))
	s.Closed(nil)
	for i := range 1000 {
		c.data(c.publisher, longPacket(0x33, lengthed(fmt.Sprint("r/", i)), []byte{0, 1}, make([]byte, 8000)))
	}
	small := c.join(0)
	c.data(small, longPacket(0x82, []byte{0, 1}, lengthed("s"), []byte{1}))
	small.Closed(nil)
	for range 500 {
		c.publish("s", 100)
	}
	c.press(32 << 20 / 100 * 79)
	if n := c.waiting(); n["0000002"] != 1000 || n["0000003"] != 500 {
		t.Errorf("%v wait", n)
	}
}
