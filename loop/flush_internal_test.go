//go:build linux

package loop

import (
	"bytes"
	"testing"

	"golang.org/x/sys/unix"
)

// arrived returns what each reader has got until now.
func (x *exchange) arrived() (all [][]byte) {
	for _, fd := range x.readers {
		n, _ := calls{}.read(fd, x.scratch)
		all = append(all, bytes.Clone(x.scratch[:max(n, 0)]))
	}
	return all
}

// count is how many of list are not empty.
func count(list [][]byte) (n int) {
	for _, b := range list {
		if len(b) > 0 {
			n++
		}
	}
	return n
}

// A message to a hundred connections is written to ten of them in each pass. Somebody else is answered in the pass of his
// message, who came first does not wait for who came later, and who waits gathers what comes meanwhile.
func TestWideFanOutIsWrittenInPieces(t *testing.T) {
	x := newFanOut(t, 100, 64, 1, (*conn).SendView)
	s, c, peer := pair(t, x.l)
	defer unix.Close(peer)
	s.data = func(view []byte) { c.SendView(view) }
	x.l.lim.FlushConns = 20 // of which half while the source is light
	first, second := bytes.Repeat([]byte("1"), 64), bytes.Repeat([]byte("2"), 64)
	unix.Write(x.source, first)
	x.l.pass()
	if n := count(x.arrived()); n != 10 || !x.l.busy() {
		t.Fatalf("%d got the message in its pass, want 10; more to do: %v", n, x.l.busy())
	}
	unix.Write(peer, []byte("hello"))
	unix.Write(x.source, second)
	x.l.pass()
	if n, _ := unix.Read(peer, x.scratch); string(x.scratch[:max(n, 0)]) != "hello" {
		t.Errorf("the answer is %q, want hello", x.scratch[:max(n, 0)])
	}
	passes, one, both := 0, 0, 0
	for more := true; more; passes++ {
		for i, got := range x.arrived() {
			switch string(got) {
			case "":
			case string(second):
				one++
			case string(first) + string(second):
				both++
			default:
				t.Fatalf("reader %d got %q", i, got)
			}
		}
		if more = x.l.busy(); more {
			x.l.pass()
		}
	}
	if one != 10 || both != 90 || passes > 13 {
		t.Errorf("%d got the second message alone, %d both together, %d passes", one, both, passes)
	}
	if st := x.l.stats; st.WholeFlushes != 0 || st.PartFlushes == 0 {
		t.Errorf("%d flushes of everything, %d in parts", st.WholeFlushes, st.PartFlushes)
	}
}

// Who is late goes on as fast while others have something new in every pass.
func TestLateOutputKeepsHalfOfTheBudget(t *testing.T) {
	x := newFanOut(t, 100, 64, 1, (*conn).Send)
	x.l.lim.FlushConns = 20 // of which half while the source is light
	var others []*conn
	for range 20 {
		_, c, peer := pair(t, x.l)
		defer unix.Close(peer)
		others = append(others, c)
	}
	x.l.hooks.EndPass = func() int64 {
		for _, c := range others {
			c.Send([]byte("x"))
		}
		return 0
	}
	flushed := 0
	unix.Write(x.source, x.message)
	for pass := 1; flushed < 100; pass++ {
		x.l.pass()
		flushed += count(x.arrived())
		if least := min(100, 5*(pass-1)); flushed < least {
			t.Fatalf("pass %d: %d readers were written to, want at least %d", pass, flushed, least)
		}
	}
	x.l.hooks.EndPass = func() int64 { return 0 }
	for x.l.busy() {
		x.l.pass()
	}
}

// Two senders to many do not fit into one pass: they have their turns in turns, also if one of them has always asked first
// to be called again.
func TestWideSendersTakeTurns(t *testing.T) {
	x := newFanOut(t, 50, 64, 1, (*conn).SendView)
	wide, _, peer := pair(t, x.l)
	defer unix.Close(peer)
	first := x.l.slots.conns[0].h.(*scripted)
	toAll := first.data
	wide.data = func(view []byte) { toAll(view) }
	first.data = func(view []byte) {
		toAll(view)
		first.c.Pause()
		first.c.Resume()
	}
	x.l.lim.PassSends, x.l.lim.ReadBytes = 1, 64
	const messages = 20
	for range messages {
		unix.Write(x.source, x.message)
		unix.Write(peer, x.message)
	}
	for pass, before := 1, 0; before < 2*messages; pass++ {
		x.l.pass()
		now := first.datas + wide.datas
		if pass > 1 && now > before+1 { // in the first pass they are not known yet
			t.Fatalf("pass %d: %d turns", pass, now-before)
		}
		before = now
		if apart := first.datas - wide.datas; apart < -2 || apart > 2 {
			t.Fatalf("one was read from %d times, the other %d times", first.datas, wide.datas)
		}
	}
	for x.l.busy() {
		x.l.pass()
	}
}

// Who sends to many is not read from while those who wait have much to take; others are.
func TestReadingWaitsForWriting(t *testing.T) {
	const size = 16 << 10
	x := newFanOut(t, 80, size, 1, (*conn).SendView)
	s, _, peer := pair(t, x.l)
	defer unix.Close(peer)
	x.l.lim.FlushConns, x.l.lim.ReadBytes = 2, size
	most := 0
	for pass := 0; pass < 200 || x.l.busy(); pass++ {
		if pass < 200 {
			unix.Write(x.source, x.message)
			unix.Write(peer, []byte("x"))
		}
		x.l.pass()
		for _, c := range x.l.slots.conns {
			most = max(most, c.Queued())
		}
		if pass < 200 && s.datas != pass+1 {
			t.Fatalf("pass %d: the other one was read from %d times", pass, s.datas)
		}
		x.arrived()
	}
	if limit := x.l.lim.OutputBytesMax; most <= x.l.lim.OutputLowBytes || most > limit*3/4 || x.l.stats.OutputsRefused > 0 {
		t.Errorf("at most %d bytes were queued, %d sends refused; the limit is %d", most, x.l.stats.OutputsRefused, limit)
	}
}

// One who does not read holds nobody up: what he has gathered does not wait for us.
func TestReadingWaitsForNoSlowReader(t *testing.T) {
	const size, messages = 1000, 30
	x := newFanOut(t, 40, size, 1, (*conn).SendView)
	x.l.lim.FlushConns, x.l.lim.OutputBytesMax, x.l.lim.OutputLowBytes = 2, 64<<20, 2*messages*size
	x.l.slots.conns[1].Send(make([]byte, 4<<20))
	defer unix.Close(x.readers[0])
	x.readers = x.readers[1:]
	for pass := range messages {
		unix.Write(x.source, x.message)
		x.l.pass()
		x.arrived()
		if n := x.l.slots.conns[0].h.(*scripted).datas; n != pass+1 {
			t.Fatalf("pass %d: the sender was read from %d times", pass, n)
		}
	}
	if x.l.late.n == 0 || x.l.blocked != 1 {
		t.Errorf("%d wait for us, %d for the kernel: not the case to test", x.l.late.n, x.l.blocked)
	}
	for x.l.busy() {
		x.l.pass()
		x.arrived()
	}
}

// large takes what comes when it is there as a whole.
type large struct {
	*scripted
	size int
}

func (p large) Data(view []byte) (int, error) {
	if len(view) < p.size {
		return 0, nil
	}
	return p.scripted.Data(view[:p.size])
}

// Large packets have memory of their own, which is held as long as their output waits, and counts.
func TestMemoryOfLargePacketsIsHeldUpToTheLimit(t *testing.T) {
	const size, messages = 40_000, 10
	for _, limit := range []int{1 << 30, 2 * size} {
		x := newFanOut(t, 20, size, 1, (*conn).SendView)
		x.l.lim.FlushConns, x.l.lim.FlushBytes, x.l.lim.ViewBytesMax = 1, 1, limit
		x.l.lim.OutputBytesMax, x.l.lim.OutputLowBytes = 64<<20, 32<<20
		x.l.slots.conns[0].h = large{x.l.slots.conns[0].h.(*scripted), size}
		var want []byte
		got, most := make([][]byte, 20), 0
		for i := 0; i < messages || x.l.busy(); i++ {
			if i < messages {
				for k := range x.message {
					x.message[k] = byte(i + k)
				}
				want = append(want, x.message...)
				unix.Write(x.source, x.message[:size/2])
				x.l.pass()
				unix.Write(x.source, x.message[size/2:])
			}
			x.l.pass()
			most = max(most, x.l.heldBytes)
			for k, b := range x.arrived() {
				got[k] = append(got[k], b...)
			}
		}
		for k, b := range got {
			if !bytes.Equal(b, want) {
				t.Fatalf("limit %d: reader %d got %d bytes, or others; want %d", limit, k, len(b), len(want))
			}
		}
		if whole := x.l.stats.WholeFlushes > 0; whole != (limit < most) || most < size || x.l.heldBytes != 0 {
			t.Errorf("limit %d: %d bytes held at most, %d flushes of everything, %d held at the end", limit, most, x.l.stats.WholeFlushes, x.l.heldBytes)
		}
	}
}

// What views point into is held in more than one arena, up to the limit; beyond that everything is written. Idle, one
// arena is left.
func TestViewsAreHeldUpToTheLimit(t *testing.T) {
	for _, test := range []struct {
		arenas int
		whole  bool
	}{{100, false}, {2, true}} {
		const size = 4000
		x := newFanOut(t, 60, size, 1, (*conn).SendView)
		x.l.lim.FlushConns, x.l.lim.FlushBytes, x.l.lim.ReadBytes, x.l.lim.ArenaBytes = 1, 1, size, 4*size
		x.l.arena = make([]byte, x.l.lim.ArenaBytes)
		x.l.lim.ViewBytesMax = test.arenas * x.l.lim.ArenaBytes
		got, want := make([][]byte, 60), []byte(nil)
		most := 0
		for pass := 0; pass < 30 || x.l.busy(); pass++ {
			if pass < 30 {
				for i := range x.message {
					x.message[i] = byte(pass + i)
				}
				if n, _ := unix.Write(x.source, x.message); n > 0 {
					want = append(want, x.message[:n]...)
				}
			}
			x.l.pass()
			most = max(most, x.l.heldBytes)
			for i, b := range x.arrived() {
				got[i] = append(got[i], b...)
			}
		}
		for i, b := range got {
			if !bytes.Equal(b, want) {
				t.Errorf("%d arenas: reader %d got %d bytes, or others; want %d", test.arenas, i, len(b), len(want))
			}
		}
		if whole := x.l.stats.WholeFlushes > 0; whole != test.whole || most == 0 || most > x.l.lim.ViewBytesMax {
			t.Errorf("%d arenas: %d flushes of everything, %d bytes held", test.arenas, x.l.stats.WholeFlushes, most)
		}
		x.l.dropSpares()
		if x.l.heldBytes != 0 || x.l.pos != 0 || x.l.spareArenas != nil || len(x.l.spareSegs) > spareSegsIdle {
			t.Errorf("%d arenas: %d bytes are held, %d arenas kept when idle", test.arenas, x.l.heldBytes, len(x.l.spareArenas))
		}
	}
}

// Who is closed while its output waits gets it at once, whatever the budget, and its place in the list harms nobody.
func TestLateOutputOfClosedConnections(t *testing.T) {
	x := newFanOut(t, 50, 64, 1, (*conn).SendView)
	x.l.lim.FlushConns = 1
	unix.Write(x.source, x.message)
	x.l.pass()
	got := count(x.arrived())
	for _, c := range x.l.slots.conns[1:] {
		if c.slot%2 == 0 {
			c.Close(nil)
		}
	}
	x.l.pass()
	for i, b := range x.arrived() {
		if c := x.l.slots.conns[i+1]; c == nil && i > 2 && !bytes.Equal(b, x.message) {
			t.Errorf("reader %d was closed and got %d bytes", i, len(b))
		}
		got += count([][]byte{b})
	}
	for x.l.busy() {
		x.l.pass()
		got += count(x.arrived())
	}
	if got != 50 {
		t.Errorf("%d readers got the message, want 50", got)
	}
}

// What somebody who is closed had still sent is thrown away, and does not get into the output of those who are late.
func TestInputThrownAwayReachesNobody(t *testing.T) {
	x := newFanOut(t, 50, 64, 1, (*conn).SendView)
	x.l.lim.FlushConns = 1
	_, c, peer := pair(t, x.l)
	defer unix.Close(peer)
	for i := range x.message {
		x.message[i] = byte(i)
	}
	unix.Write(x.source, x.message)
	x.l.pass()
	got := count(x.arrived())
	unix.Write(peer, bytes.Repeat([]byte("!"), 4096))
	c.Close(nil)
	for x.l.busy() {
		x.l.pass()
		for i, b := range x.arrived() {
			if len(b) > 0 && !bytes.Equal(b, x.message) {
				t.Fatalf("reader %d got %q", i, b)
			}
			got += count([][]byte{b})
		}
	}
	if got != 50 {
		t.Errorf("%d readers got the message, want 50", got)
	}
}

// Who does not take the last words is not counted among those who wait for the kernel once he is closed.
func TestLateLastWordsRefused(t *testing.T) {
	x := newFanOut(t, 3, 64, 1, (*conn).Send)
	x.l.lim.FlushConns = 1
	for _, c := range x.l.slots.conns[1:] {
		c.Send(make([]byte, 1<<20))
	}
	for _, c := range x.l.slots.conns[1:] {
		c.Close(nil)
	}
	for x.l.busy() {
		x.l.pass()
	}
	if x.l.blocked != 0 || x.l.stats.Blocked == 0 || x.l.stats.Conns != 1 {
		t.Errorf("%d wait for the kernel, %d were refused, %d connections", x.l.blocked, x.l.stats.Blocked, x.l.stats.Conns)
	}
}

// Who was resumed with nothing left has nothing more to say of what he is read next: nobody waits for that.
func TestResumedWithNothingLeftIsNotGathered(t *testing.T) {
	x := newFanOut(t, 3, 64, 1, (*conn).SendView)
	sender := x.l.slots.conns[0]
	sender.Pause()
	sender.Resume()
	x.l.pass()
	unix.Write(x.source, x.message)
	x.l.pass()
	if n := count(x.arrived()); n != 3 || x.l.busy() {
		t.Errorf("%d readers got the message in its pass, want 3", n)
	}
}

// pieces takes so many bytes in a call, and asks to be called again for the rest.
type pieces struct {
	*scripted
	size int
}

func (p pieces) Data(view []byte) (int, error) {
	if len(view) > p.size {
		view = view[:p.size]
		p.c.Pause()
		p.c.Resume()
	}
	return p.scripted.Data(view)
}

// What comes of one read is written at once to each receiver, though its sender has several turns for it, and others get
// what they want in between.
func TestTurnsOfOneReadAreGathered(t *testing.T) {
	const size, turns = 64, 10
	x := newFanOut(t, 30, size, turns, (*conn).SendView)
	sender := x.l.slots.conns[0]
	sender.h = pieces{sender.h.(*scripted), size}
	s, c, peer := pair(t, x.l)
	defer unix.Close(peer)
	s.data = func(view []byte) { c.SendView(view) }
	unix.Write(x.source, x.message)
	for pass := 1; pass <= turns; pass++ {
		if n := count(x.arrived()); n > 0 {
			t.Fatalf("%d readers were written to before pass %d", n, pass)
		}
		unix.Write(peer, []byte("x"))
		x.l.pass()
		if n, _ := unix.Read(peer, x.scratch); n != 1 {
			t.Fatalf("no answer in pass %d", pass)
		}
	}
	for _, got := range x.arrived() {
		if !bytes.Equal(got, x.message) {
			t.Fatalf("got %d bytes, want %d", len(got), len(x.message))
		}
	}
	if n := x.l.stats.Writes; n != 30+turns {
		t.Errorf("%d writes, want %d", n, 30+turns)
	}
	for x.l.busy() {
		x.l.pass()
	}
}

// Nobody waits for ever for a sender who has more to say, nor once much is gathered. The first pass ends an age.
func TestGatheringEnds(t *testing.T) {
	const size, turns = 64, gatherPasses + 10
	for _, test := range []struct{ low, passes int }{{1 << 20, gatherPasses + 2}, {4 * size, 5}} {
		x := newFanOut(t, 3, size, turns, (*conn).SendView)
		x.l.lim.OutputLowBytes = test.low
		sender := x.l.slots.conns[0]
		sender.h = pieces{sender.h.(*scripted), size}
		unix.Write(x.source, x.message)
		for pass := 1; pass <= test.passes; pass++ {
			x.l.pass()
			if n := count(x.arrived()); n > 0 != (pass == test.passes) {
				t.Errorf("low %d: %d readers were written to in pass %d, want pass %d", test.low, n, pass, test.passes)
			}
		}
		for x.l.busy() {
			x.l.pass()
		}
	}
}
