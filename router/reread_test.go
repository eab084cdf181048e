package router_test

import (
	"testing"

	"github.com/loopmq/loopmq/router"
	"github.com/loopmq/loopmq/store"
)

// spoil has reads of message n fail until d.spoils is nil again.
func (d *durable) spoil(n uint64) {
	d.spoils = func(k store.Key) bool { return k == store.KeyOf(0x80, n) }
}

// wantReads says how many reads there were since it was asked last.
func (d *durable) wantReads(from *uint64, want uint64) {
	d.t.Helper()
	now := d.mem.Stats().Reads
	if got := now - *from; got != want {
		d.t.Errorf("%d records were read, want %d", got, want)
	}
	*from = now
}

// TestReadAgain: what the disk failed to read keeps its place until it can be
// read. Other sessions go on.
func TestReadAgain(t *testing.T) {
	d := newDurable(t, router.Limits{QueuedWindowMax: 1})
	d.away("s", "t")
	d.away("o", "u")
	d.fill("t", 1, 1, 4)
	d.fill("u", 1, 5, 8)
	d.spoil(3)
	s := d.connect("s", false)
	if got, want := d.drain(s), "1:1:1 1:2:2"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got, want := d.drain(d.connect("o", false)), "1:1:5 1:2:6 1:3:7 1:4:8"; got != want {
		t.Errorf("the other got %s, want %s", got, want)
	}
	reads := d.mem.Stats().Reads
	for range 5 { // every second
		d.flush()
		d.flush()
		d.sleep(1)
		d.flush()
	}
	d.wantReads(&reads, 5)
	s.reset()
	d.sleep(1)
	d.flush()
	d.wantReads(&reads, 0) // nobody wants it
	if got := d.drain(d.connect("s", false)); got != "" {
		t.Errorf("got %s", got)
	}
	told := 0
	for _, e := range d.events {
		if e.Kind == router.EventReadAgain {
			told++
			if e.ClientID != "s" || e.Err == nil || e.Count != 1 {
				t.Errorf("event %+v", e)
			}
		}
	}
	if st := d.r.Stats(); told != 1 || st.Dropped[router.DropUnreadable] != 0 || st.QueuedOnDisk != 2 {
		t.Errorf("told %d times, %d dropped, %d on disk", told, st.Dropped[router.DropUnreadable], st.QueuedOnDisk)
	}
	d.spoils = nil
	s = d.connect("s", false)
	if got, want := d.drain(s), "1:3:3 1:4:4"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// TestReadAgainIsToldAgain: it is said when it begins, each time.
func TestReadAgainIsToldAgain(t *testing.T) {
	d := newDurable(t, router.Limits{QueuedWindowMax: 1})
	d.away("s", "t")
	d.fill("t", 1, 1, 6)
	s := d.connect("s", false)
	for _, one := range []struct {
		fails uint64
		want  string
	}{{2, "1:1:1"}, {4, "1:2:2 1:3:3"}, {99, "1:4:4 1:5:5 1:6:6"}} {
		d.spoil(one.fails)
		if got := d.drain(s); got != one.want {
			t.Errorf("got %s, want %s", got, one.want)
		}
	}
	if e := d.lastEvent(router.EventReadAgain); e.Count != 2 {
		t.Errorf("told %d times", e.Count)
	}
}

// TestReadAgainMeanwhile: while a read is to be tried again what waits is
// dropped, or its session ends.
func TestReadAgainMeanwhile(t *testing.T) {
	start := func(t *testing.T, filter string) *durable {
		d := newDurable(t, router.Limits{QueuedWindowMax: 2, QueuedMessagesMax: 4})
		d.away("s", filter)
		d.fill("t", 1, 1, 4)
		d = d.crash(store.FlightLost, 1)
		d.spoil(1)
		s := d.connect("s", false)
		d.flush()
		s.expect("20 02 01 00")
		return d
	}
	t.Run("dropped", func(t *testing.T) {
		d := start(t, "t")
		d.fill("t", 1, 5, 5)
		if got, want := d.drain(d.connect("s", false)), "1:1:2 1:2:3 1:3:4 1:4:5"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	})
	t.Run("all dropped", func(t *testing.T) {
		d := start(t, "t")
		d.fill("t", 1, 5, 8)
		if got, want := d.drain(d.connect("s", false)), "1:1:5 1:2:6 1:3:7 1:4:8"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	})
	t.Run("ended", func(t *testing.T) {
		d := start(t, "t")
		d.connect("s", true)
		for range 2 {
			d.sleep(1.1)
			d.flush()
		}
		if st := d.r.Stats(); st.Queued != 0 || d.mem.Stats().LiveRecords != 1 { // the beat
			t.Errorf("%d wait, %d records", st.Queued, d.mem.Stats().LiveRecords)
		}
	})
	t.Run("ended and shared", func(t *testing.T) {
		d := start(t, "$share/g/t")
		d.away("b", "$share/g/t")
		d.connect("s", true)
		b := d.connect("b", false)
		if got := d.drain(b); got != "" || d.r.Stats().Queued != 4 {
			t.Errorf("got %q, %d wait", got, d.r.Stats().Queued)
		}
		if d.wake <= d.now {
			t.Error("the loop turns for nothing")
		}
		d.spoils = nil
		if got, want := d.drain(b), "1:1:1 1:2:2 1:3:3 1:4:4"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	})
}
