package sim

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/loopmq/loopmq/router"
	"github.com/loopmq/loopmq/store"
)

// Disk is how a store behaves that takes its time.
type Disk struct {
	CommitMicros int // longest time of a commit
	ReadMicros   int // longest time of a read; the shorter one overtakes
	Reads        int // reads that may wait

	Full       int  // percent of commits that find no room, which is how a full disk begins
	FullMillis int  // longest time that it stays full
	Tight      int  // percent of full disks that still have room for removals
	Fails      int  // per mille of commits that fail, and all after them
	ReadFails  int  // percent of reads that fail, and may succeed another time
	Damage     int  // per mille of messages found damaged when they are read
	Kept       int  // percent of power cuts that leave the batch on its way
	Stops      int  // percent of restarts in good order
	Others     bool // clients also come with other client identifiers than their own
}

// disk is the store of a router as its disk lets it be: what is asked of it is
// done some time later.
type disk struct {
	memStore
	w     *World
	conf  Disk
	rand  rng
	life  int // counts starts: what was asked for before is not answered
	reads []*diskRead
	hasty func(error) // of a broken disk, which says at once that it is done

	fullUntil int64 // 0: it has room
	failed    bool
	doomed    bool       // the next commit fails
	after     *store.Mem // what a start may find as well after a failure: the batch had reached the disk
	troubled  int64      // when trouble last ended; now, while it lasts
}

// diskRead is a Read on its way.
type diskRead struct {
	keys []uint64
	done func([]router.StoreValue)
}

var (
	errNoRoom = fmt.Errorf("%w: %w", router.ErrStoreFull, store.ErrFull)
	errIO     = errors.New("input/output error")
)

func newDisk(w *World, mem *store.Mem, life int, rand rng) *disk {
	return &disk{memStore: memStore{mem}, w: w, conf: *w.plan.Disk, rand: rand, life: life, troubled: -1}
}

// later plans the end of something that takes up to so many microseconds.
func (d *disk) later(kind, micros int) {
	d.w.events.push(d.w.now+1+int64(d.rand.n(micros+1))*1000, kind, nil, d.life)
}

// Seal is store.Mem's; the end comes later.
func (d *disk) Seal(done func(error)) bool {
	tell := done
	if b := d.w.plan.Break.Hasty; b != nil && !d.Committing() && b() {
		d.hasty, tell = done, nil
		d.later(eventHasty, 0)
	}
	if !d.Mem.Seal(tell) {
		return false
	}
	d.later(eventCommit, d.conf.CommitMicros)
	return true
}

// Err is store.Mem's in the router's words.
func (d *disk) Err() error {
	if err := d.Mem.Err(); err == nil || !errors.Is(err, store.ErrFull) {
		return err
	}
	return errNoRoom
}

// Read is answered later.
func (d *disk) Read(keys []uint64, done func([]router.StoreValue)) bool {
	if len(d.reads) >= d.conf.Reads {
		return false
	}
	d.reads = append(d.reads, &diskRead{slices.Clone(keys), done})
	if b := d.w.plan.Break.Read; b == nil || b() {
		d.later(eventFetched, d.conf.ReadMicros)
	}
	return true
}

// trouble reports whether the disk takes nothing now.
func (d *disk) trouble() bool { return d.failed || d.fullUntil != 0 }

// complete ends the commit on its way, as the plan has it.
func (d *disk) complete() {
	now := d.w.now
	if d.fullUntil != 0 && now >= d.fullUntil {
		d.w.note("- the disk has room")
		d.fullUntil, d.LiveMax, d.troubled = 0, 0, now
	}
	switch {
	case !d.Committing():
	case d.failed:
		d.Complete(errIO)
	case d.rand.n(1000) < d.conf.Fails || d.doomed:
		d.w.note("- the disk fails")
		d.after, d.failed = d.Crash(store.FlightKept), true
		d.Complete(errIO)
	case d.fullUntil != 0 && d.LiveMax == 0:
		d.noRoom()
	case d.fullUntil == 0 && d.rand.percent(d.conf.Full):
		d.fullUntil = now + 1 + int64(d.rand.n(d.conf.FullMillis+1))*1_000_000
		if tight := d.rand.percent(d.conf.Tight); tight {
			d.w.note("- the disk has room for removals only")
			d.Complete(nil)
			d.LiveMax = 1
			break
		}
		d.w.note("- the disk is full")
		d.noRoom()
	default:
		d.Complete(nil)
	}
}

// noRoom has the commit wait for the next that finds room.
func (d *disk) noRoom() {
	if b := d.w.plan.Break.Full; b != nil && b() { // it is forgotten
		mem := d.Crash(store.FlightLost)
		d.Complete(errNoRoom)
		d.Mem, d.w.mem = mem, mem
		return
	}
	d.Complete(errNoRoom)
}

// fetched answers one of the reads that wait.
func (d *disk) fetched() {
	i := d.rand.n(len(d.reads))
	r := d.reads[i]
	d.reads = slices.Delete(d.reads, i, i+1)
	values := d.Fetch(r.keys)
	fails := d.rand.percent(d.conf.ReadFails)
	for k := range values {
		v := &values[k]
		switch {
		case fails:
			*v = router.StoreValue{Err: errIO}
		case errors.Is(v.Err, store.ErrNotFound):
			v.Err = fmt.Errorf("%w: %w", router.ErrLost, v.Err)
		case store.Key(r.keys[k]).Table() >= store.Cold && d.rand.n(1000) < d.conf.Damage:
			if n := numberAtEnd(v.Data); n > 0 {
				d.w.note("- m%d is damaged", n)
				d.w.ledger.damaged(n)
				*v = router.StoreValue{Err: router.ErrLost}
			}
		}
	}
	r.done(values)
}

// Fetch reads what is durable now, and does not stand in the row of reads.
func (d *disk) Fetch(keys []uint64) (answer []router.StoreValue) {
	d.memStore.Read(keys, func(v []router.StoreValue) { answer = v })
	d.Answer()
	return answer
}

// Load gives each record, unless a broken start forgets it.
func (d *disk) Load(each func(key uint64, value []byte) error) error {
	return d.memStore.Load(func(key uint64, value []byte) error {
		if b := d.w.plan.Break.Load; b != nil {
			if value = b(key, value); value == nil && key>>56 < 0x80 {
				return nil
			}
		}
		return each(key, value)
	})
}

// cut is what a start finds when the power goes now.
func (d *disk) cut() *store.Mem {
	kept := d.rand.percent(d.conf.Kept)
	switch {
	case d.after != nil && kept:
		return d.after
	case kept && !d.failed:
		return d.Crash(store.FlightKept)
	}
	return d.Crash(store.FlightLost)
}

// numberAtEnd is the number of the message whose payload ends b: an m, digits,
// and perhaps dots.
func numberAtEnd(b []byte) int {
	b = bytes.TrimRight(b, ".")
	i := bytes.LastIndexByte(b, 'm')
	if i < 0 {
		return 0
	}
	n, err := strconv.Atoi(string(b[i+1:]))
	if err != nil {
		return 0
	}
	return n
}

// numberOf is that of a payload; 0: it has none.
func numberOf(payload []byte) int {
	if len(payload) == 0 || payload[0] != 'm' {
		return 0
	}
	return numberAtEnd(payload)
}
