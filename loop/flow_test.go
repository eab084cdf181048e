package loop_test

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/loopmq/loopmq/internal/buf"
	"github.com/loopmq/loopmq/loop"
)

func TestSlowReaderIsRefusedThenDrained(t *testing.T) {
	eachEngine(t, func(t *testing.T, kind string) {
		drained := make(chan int, 10_000)
		accept, handlers := accepting(func(h *handler) {
			h.drained = func() { drained <- h.c.Queued() }
		})
		lim := loop.Limits{OutputBytesMax: 100_000, OutputLowBytes: 10_000, ControlBytesMax: 500}
		s := serve(t, kind, config{options: loop.Options{Limits: lim}}, accept)
		c := s.dial()
		h := wait(t, handlers, "Accept")
		frame := bytes.Repeat([]byte("0123456789"), 100)
		sent := 0
		var control []byte
		s.until("the limit is reached", func() bool {
			for range 1000 {
				if h.c.Send(frame) {
					sent += len(frame)
					continue
				}
				if q := h.c.Queued(); q <= lim.OutputBytesMax-len(frame) || q > lim.OutputBytesMax {
					t.Errorf("%d bytes queued at the limit of %d", q, lim.OutputBytesMax)
				}
				for h.c.SendControl([]byte("!")) { // until it is refused: the kernel may take more meanwhile
					control = append(control, '!')
				}
				sent += len(control)
				if q := h.c.Queued(); q != lim.OutputBytesMax+lim.ControlBytesMax {
					t.Errorf("%d bytes queued with control, want %d", q, lim.OutputBytesMax+lim.ControlBytesMax)
				}
				if s.e.Stats().OutputsRefused == 0 {
					t.Error("no refusal counted")
				}
				for len(drained) > 0 {
					<-drained // from before: the kernel took all that there was
				}
				return true
			}
			return false
		})
		got := mustRead(t, c, sent)
		if q := wait(t, drained, "Drained"); q > lim.OutputLowBytes {
			t.Errorf("Drained with %d bytes queued, low-water mark %d", q, lim.OutputLowBytes)
		}
		if want := len(got) - len(control); !bytes.Equal(got[want:], control) || !bytes.Equal(got[:want], bytes.Repeat(frame, want/len(frame))) {
			t.Error("the bytes differ from what was accepted")
		}
	})
}

func TestOneFrameMayBeLargerThanTheLimit(t *testing.T) {
	eachEngine(t, func(t *testing.T, kind string) {
		accept, handlers := accepting(nil)
		s := serve(t, kind, config{options: loop.Options{Limits: loop.Limits{OutputBytesMax: 1000}}}, accept)
		c := s.dial()
		h := wait(t, handlers, "Accept")
		large := bytes.Repeat([]byte("large"), 1_000_000)
		s.on(func() {
			if !h.c.Send(large) {
				t.Error("refused although nothing was queued")
			}
			if h.c.Send(large) {
				t.Error("a second one was accepted")
			}
		})
		if got := mustRead(t, c, len(large)); !bytes.Equal(got, large) {
			t.Fatal("bytes differ")
		}
	})
}

// Both sockets are ready in one pass; the one that comes first pauses the other.
func TestPausedWhileItsInputIsAnnounced(t *testing.T) {
	eachEngine(t, func(t *testing.T, kind string) {
		var pair [2]*handler
		got := make(chan int, 10)
		accept, handlers := accepting(nil)
		s := serve(t, kind, config{}, accept)
		conns := [2]io.Writer{}
		for i := range pair {
			conns[i] = s.dial()
			h := wait(t, handlers, "Accept")
			pair[i] = h
			h.data = func(view []byte) (int, error) {
				pair[1-i].c.Pause()
				got <- i
				return len(view), nil
			}
		}
		s.on(func() {
			mustWrite(t, conns[0], []byte("x"))
			mustWrite(t, conns[1], []byte("x"))
		})
		first := wait(t, got, "the first Data")
		s.on(func() {})
		s.on(func() {}) // a pass later: the other has not been called, nor closed
		s.on(func() {
			if len(got) > 0 || len(pair[1-first].closed) > 0 {
				t.Error("input of a paused connection was handed over, or closed it")
			}
			pair[1-first].c.Resume()
		})
		if second := wait(t, got, "the second Data"); second != 1-first {
			t.Error("the first one was called again")
		}
	})
}

func TestResumeHandsOverTheKeptTail(t *testing.T) {
	eachEngine(t, func(t *testing.T, kind string) {
		var seen []string
		accept, handlers := accepting(func(h *handler) {
			h.data = func(view []byte) (int, error) {
				seen = append(seen, string(view))
				h.c.Pause()
				return 1, nil // one byte per Resume
			}
		})
		s := serve(t, kind, config{}, accept)
		c := s.dial()
		h := wait(t, handlers, "Accept")
		mustWrite(t, c, []byte("abc"))
		s.until("the first byte is taken", func() bool { return len(seen) == 1 })
		for want := 2; want <= 3; want++ { // nothing more is sent
			s.on(func() { h.c.Resume() })
			s.until("another byte is taken", func() bool { return len(seen) == want })
		}
		s.on(func() {
			if whole := seen[0] == "abc" && seen[1] == "bc"; seen[2] != "c" || !whole && !faulty() { // reads may be short
				t.Errorf("Data saw %q, want abc, bc, c", seen)
			}
		})
		mustWrite(t, c, []byte("d"))
		s.on(func() { h.c.Resume() })
		s.until("the new byte is taken", func() bool { return len(seen) == 4 })
	})
}

// A filter decodes where the bytes lie, and leaves some of them for later.
func TestBytesLeftComeAgainAsTheHandlerLeftThem(t *testing.T) {
	eachEngine(t, func(t *testing.T, kind string) {
		for _, size := range []int{3, 20_000} { // a tail that is copied, and one that is read behind
			var seen [][]byte
			accept, handlers := accepting(func(h *handler) {
				h.data = func(view []byte) (int, error) {
					seen = append(seen, bytes.Clone(view))
					for i, b := range view {
						if b == 'a' {
							view[i] = 'A'
						}
					}
					if view[len(view)-1] == 'z' {
						return len(view), nil
					}
					return 1, nil
				}
			})
			s := serve(t, kind, config{}, accept)
			c := s.dial()
			_ = wait(t, handlers, "Accept")
			mustWrite(t, c, bytes.Repeat([]byte("a"), size))
			var calls int
			s.until("all is read", func() bool { calls = len(seen); return s.e.Stats().BytesIn == uint64(size) })
			mustWrite(t, c, []byte("z"))
			s.until("the end is read", func() bool { return len(seen) == calls+1 })
			s.on(func() {
				if want := append(bytes.Repeat([]byte("A"), size-calls), 'z'); !bytes.Equal(seen[calls], want) {
					t.Errorf("of %d bytes in %d calls, then one more: got %.20q… (%d)", size, calls, seen[calls], len(seen[calls]))
				}
			})
			s.stop()
		}
	})
}

func TestPausedConnectionIsNotRead(t *testing.T) {
	eachEngine(t, func(t *testing.T, kind string) {
		got := 0
		accept, handlers := accepting(func(h *handler) {
			h.c.Pause()
			h.data = func(view []byte) (int, error) { got += len(view); return len(view), nil }
		})
		s := serve(t, kind, config{}, accept)
		c := s.dial()
		h := wait(t, handlers, "Accept")
		mustWrite(t, c, []byte("early"))
		other := s.dial()
		oh := wait(t, handlers, "the other")
		s.on(func() { oh.c.Resume() })
		mustWrite(t, other, []byte("x"))
		s.until("the other one is read", func() bool { return got == 1 })
		s.on(func() { h.c.Resume() })
		s.until("the resumed one is read", func() bool { return got == 1+len("early") })
	})
}

func TestPausedPeerThatResetsIsClosed(t *testing.T) {
	eachEngine(t, func(t *testing.T, kind string) {
		accept, handlers := accepting(func(h *handler) { h.c.Pause() })
		s := serve(t, kind, config{}, accept)
		c := s.dial()
		h := wait(t, handlers, "Accept")
		_ = c.SetLinger(0)
		c.Close()
		if why := h.wasClosed(t); why == nil {
			t.Fatal("closed without a reason")
		}
	})
}

func TestInputLimit(t *testing.T) {
	eachEngine(t, func(t *testing.T, kind string) {
		accept, handlers := accepting(func(h *handler) {
			h.data = func([]byte) (int, error) { return 0, nil }
		})
		s := serve(t, kind, config{options: loop.Options{Limits: loop.Limits{InputBytesMax: 100_000}}}, accept)
		c := s.dial()
		h := wait(t, handlers, "Accept")
		mustWrite(t, c, make([]byte, 100_000))
		var open bool
		s.until("all is read", func() bool { open = len(h.closed) == 0; return s.e.Stats().BytesIn == 100_000 })
		if !open {
			t.Fatal("closed at the limit, not beyond it")
		}
		mustWrite(t, c, make([]byte, 1))
		if why := h.wasClosed(t); !errors.Is(why, loop.ErrInputTooLong) {
			t.Fatalf("closed because of %v, want %v", why, loop.ErrInputTooLong)
		}
	})
}

// Every length of a packet and every size of a read leaves another tail; what arrives must not depend on it.
func TestPacketsOfEveryLengthArriveWhole(t *testing.T) {
	var want []byte
	for n := range 700 {
		want = append(want, frame(bytes.Repeat([]byte{byte(n)}, n))...)
	}
	eachEngine(t, func(t *testing.T, kind string) {
		for _, read := range []int{1, 7, 64, 1000} {
			got := bytes.Buffer{}
			accept, handlers := accepting(func(h *handler) {
				h.data = func(view []byte) (used int, err error) {
					for f := nextFrame(view); f != nil; f = nextFrame(view[used:]) {
						got.Write(f)
						used += len(f)
					}
					return used, nil
				}
			})
			s := serve(t, kind, config{options: loop.Options{Limits: loop.Limits{ReadBytes: read, ArenaBytes: 4 * read}}}, accept)
			c := s.dial()
			mustWrite(t, c, want)
			c.Close()
			if why := wait(t, handlers, "Accept").wasClosed(t); why != io.EOF {
				t.Fatal(why)
			}
			if !bytes.Equal(got.Bytes(), want) {
				t.Fatalf("reads of %d bytes: the frames differ", read)
			}
			s.stop()
		}
	})
}

// Of a peer that reads a bit it is seen that it has taken something, although the kernel wants no more of us yet; one
// that reads nothing takes nothing, whatever is queued for it.
func TestTaken(t *testing.T) {
	eachEngine(t, func(t *testing.T, kind string) {
		accept, handlers := accepting(nil)
		s := serve(t, kind, config{options: loop.Options{Limits: loop.Limits{ControlBytesMax: 1 << 20}}}, accept)
		c := s.dial()
		h := wait(t, handlers, "Accept")
		var at uint64
		still := 0
		s.until("the kernel takes no more", func() bool {
			for h.c.Send(make([]byte, 10_000)) {
				still = 0
			}
			if now := h.c.Taken(); now != at {
				at, still = now, 0
			}
			still++
			return still == 1000
		})
		s.on(func() { h.c.SendControl(make([]byte, 1000)) })
		s.on(func() {
			if h.c.Taken() != at {
				t.Error("has taken something without having read")
			}
		})
		mustRead(t, c, 200_000)
		s.until("it is seen to take something", func() bool { return h.c.Taken() != at })
	})
}

// TestAnswersBehindALongFrame: who takes a frame longer than the limit, slowly, still has its answers, within their own
// bound.
func TestAnswersBehindALongFrame(t *testing.T) {
	eachEngine(t, func(t *testing.T, kind string) {
		accept, handlers := accepting(nil)
		s := serve(t, kind, config{options: loop.Options{Limits: loop.Limits{OutputBytesMax: 10_000, ControlBytesMax: 1000}}}, accept)
		s.dial()
		h := wait(t, handlers, "Accept")
		s.on(func() {
			if !h.c.Send(make([]byte, 32<<20)) {
				t.Error("the frame is refused")
			}
		})
		s.on(func() { // the kernel has what it takes
			taken := 0
			for taken < 2000 && h.c.SendControl(make([]byte, 100)) {
				taken += 100
			}
			if taken != 1000 || h.c.Send([]byte("x")) {
				t.Errorf("%d bytes of answers are taken behind the frame, or more than answers", taken)
			}
		})
	})
}

// TestBoundOutput: while the pool is full a connection has little output, but answers and one frame of any length; with
// room again as much as before.
func TestBoundOutput(t *testing.T) {
	eachEngine(t, func(t *testing.T, kind string) {
		accept, handlers := accepting(nil)
		pool := buf.NewPool(0)
		s := serve(t, kind, config{options: loop.Options{Pool: pool, Limits: loop.Limits{OutputBytesMax: 100_000}}}, accept)
		s.dial()
		h := wait(t, handlers, "Accept")
		frame := bytes.Repeat([]byte("0123456789"), 100)
		full := func(check func(queued int)) { // at once: the kernel may take some of it later
			s.until("the limit is reached", func() bool {
				for range 1000 {
					if !h.c.Send(frame) {
						check(h.c.Queued())
						return true
					}
				}
				return false
			})
		}
		s.on(func() { s.e.Bound(1); pool.Get(1) })
		full(func(q int) {
			if q <= 3096 || q > 4096 {
				t.Errorf("%d bytes are queued while the pool is full", q)
			}
			if !h.c.SendControl(frame) || h.c.Room(len(frame)) {
				t.Error("answers have no room, or others have")
			}
			s.e.Bound(1 << 30)
		})
		full(func(q int) {
			if q <= 99_000 || q > 100_000 {
				t.Errorf("%d bytes are queued", q)
			}
		})
	})
}
