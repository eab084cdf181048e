package loop_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/loopmq/loopmq/internal/testkit"
	"github.com/loopmq/loopmq/loop"
)

func TestPostFromManyGoroutines(t *testing.T) {
	const posters, each = 16, 2000
	eachEngine(t, func(t *testing.T, kind string) {
		accept, _ := accepting(nil)
		s := serve(t, kind, config{}, accept)
		counts := make([]int, posters)
		done := make(chan struct{})
		var all sync.WaitGroup
		all.Add(posters * each)
		for p := range posters {
			go func() {
				for i := range each {
					s.e.Complete(func() {
						if counts[p] != i {
							t.Errorf("poster %d: function %d ran as number %d", p, i, counts[p])
						}
						counts[p]++
						all.Done()
					})
				}
			}()
		}
		go func() { all.Wait(); close(done) }()
		wait(t, done, "all functions")
	})
}

func TestPostIsPromptWhenIdle(t *testing.T) {
	eachEngine(t, func(t *testing.T, kind string) {
		accept, _ := accepting(nil)
		s := serve(t, kind, config{}, accept)
		s.on(func() {})
		begin := time.Now()
		for range 100 {
			s.on(func() {})
		}
		if took := time.Since(begin); took > 5*time.Second {
			t.Fatalf("100 round trips took %v: each waits for something else than the post", took)
		}
	})
}

func TestOutsidersPostsAreBoundedCompletionsAreNot(t *testing.T) {
	eachEngine(t, func(t *testing.T, kind string) {
		accept, _ := accepting(nil)
		s := serve(t, kind, config{options: loop.Options{Limits: loop.Limits{PostsMax: 10}}}, accept)
		gate, inside := make(chan struct{}), make(chan struct{})
		s.e.Complete(func() { close(inside); <-gate })
		wait(t, inside, "the gate")
		accepted, completed, ran := 0, 0, 0
		for range 50 {
			if s.e.Post(func() { ran++ }) {
				accepted++
			}
			s.e.Complete(func() { completed++ })
		}
		close(gate)
		s.on(func() {
			if accepted != 10 || ran != 10 || completed != 50 {
				t.Errorf("%d of 50 posts accepted, %d ran, %d of 50 completions; want 10, 10, 50", accepted, ran, completed)
			}
			if got := s.e.Stats().PostsRefused; got != 40 {
				t.Errorf("%d refusals counted, want 40", got)
			}
		})
	})
}

func TestStopFlushesWhatIsQueued(t *testing.T) {
	eachEngine(t, func(t *testing.T, kind string) {
		var h *handler
		stopping := 0
		accept, handlers := accepting(nil)
		s := serve(t, kind, config{
			options: loop.Options{Limits: loop.Limits{OutputBytesMax: 64 << 20}},
			hooks:   loop.Hooks{Stopping: func() { stopping++; h.c.Send([]byte("server is stopping")) }},
		}, accept)
		c := s.dial()
		h = wait(t, handlers, "Accept")
		big := bytes.Repeat([]byte("0123456789abcdef"), 1<<20) // more than the socket takes at once
		s.on(func() { h.c.Send(big) })
		e := s.e
		s.e = nil
		e.Stop(patience)
		e.Stop(patience + 1) // hastens; the peer must get the whole only if it is not called
		_, _ = io.Copy(io.Discard, c)
		s.ended(e)
		if why := h.wasClosed(t); !errors.Is(why, loop.ErrStopped) {
			t.Fatalf("closed because of %v, want %v", why, loop.ErrStopped)
		}
		if stopping != 1 {
			t.Fatalf("Stopping called %d times", stopping)
		}
		if e.Post(func() {}) {
			t.Error("Post was accepted after the end")
		}

		s = serve(t, kind, config{
			options: loop.Options{Limits: loop.Limits{OutputBytesMax: 64 << 20}},
			hooks:   loop.Hooks{Stopping: func() { h.c.Send([]byte("server is stopping")) }},
		}, accept)
		c = s.dial()
		h = wait(t, handlers, "Accept")
		s.on(func() { h.c.Send(big) })
		e = s.e
		s.e = nil
		e.Stop(patience)
		got, err := io.ReadAll(c)
		if want := len(big) + len("server is stopping"); err != nil || len(got) != want {
			t.Fatalf("got %d bytes, %v; want %d and EOF", len(got), err, want)
		}
		s.ended(e)
		if _, err := net.Dial("tcp", s.addrs[0].String()); err == nil {
			t.Error("still listening after Run")
		}
	})
}

func TestStopEndsAtItsDeadline(t *testing.T) {
	eachEngine(t, func(t *testing.T, kind string) {
		accept, handlers := accepting(nil)
		s := serve(t, kind, config{options: loop.Options{Limits: loop.Limits{OutputBytesMax: 64 << 20}}}, accept)
		s.dial() // never reads
		h := wait(t, handlers, "Accept")
		s.on(func() { h.c.Send(make([]byte, 32<<20)) })
		e := s.e
		s.e = nil
		e.Stop(50 * time.Millisecond)
		s.ended(e)
		h.wasClosed(t)
	})
}

func TestStopBeforeRunAndRunTwice(t *testing.T) {
	eachEngine(t, func(t *testing.T, kind string) {
		e, err := loop.New(kind, loop.Options{})
		if err != nil {
			t.Fatal(err)
		}
		completed := false
		e.Complete(func() { completed = true })
		e.Stop(0)
		end := make(chan error, 1)
		go func() { end <- e.Run(loop.Hooks{}) }()
		if err := wait(t, end, "Run"); err != nil {
			t.Fatal(err)
		}
		if !completed {
			t.Error("a completion was lost")
		}
		if err := e.Run(loop.Hooks{}); err == nil {
			t.Error("a second Run was allowed")
		}
	})
}

func TestDeadlineEndsTheWait(t *testing.T) {
	eachEngine(t, func(t *testing.T, kind string) {
		var now, due, ran int64
		woken := make(chan struct{}, 1)
		accept, _ := accepting(nil)
		s := serve(t, kind, config{hooks: loop.Hooks{
			BeginPass: func(n int64) {
				if n <= now {
					t.Errorf("clock went from %d to %d", now, n)
				}
				now = n
			},
			EndPass: func() int64 {
				if due != 0 && now >= due {
					ran, due = now-due, 0
					woken <- struct{}{}
				}
				return due
			},
		}}, accept)
		s.on(func() { due = now + int64(30*time.Millisecond) })
		wait(t, woken, "the deadline")
		s.on(func() {
			if ran < 0 || ran > int64(5*time.Second) {
				t.Errorf("woken %v after the deadline", time.Duration(ran))
			}
		})
	})
}

func TestDeadlineSetByClosed(t *testing.T) {
	eachEngine(t, func(t *testing.T, kind string) {
		var now, due int64
		woken := make(chan struct{}, 1)
		accept, handlers := accepting(func(h *handler) {
			h.atEnd = func() { due = now + int64(30*time.Millisecond) }
		})
		s := serve(t, kind, config{hooks: loop.Hooks{
			BeginPass: func(n int64) { now = n },
			EndPass: func() int64 {
				if due != 0 && now >= due {
					due = 0
					woken <- struct{}{}
				}
				return due
			},
		}}, accept)
		c := s.dial()
		wait(t, handlers, "Accept")
		c.Close()
		wait(t, woken, "the deadline")
	})
}

func TestIdleEngineDoesNotWake(t *testing.T) {
	eachEngine(t, func(t *testing.T, kind string) {
		accept, handlers := accepting(echoing)
		s := serve(t, kind, config{}, accept)
		c := s.dial()
		wait(t, handlers, "Accept")
		mustWrite(t, c, []byte("x"))
		mustRead(t, c, 1)
		var before, after uint64
		s.on(func() { before = s.e.Stats().Passes })
		time.Sleep(300 * time.Millisecond) // not to wait for something, but to give it the time to go wrong
		s.on(func() { after = s.e.Stats().Passes })
		// the pass of the second question, and at most the ones that put the connection and the first question to rest
		if after-before > 2 && !faulty() {
			t.Fatalf("%d passes while idle", after-before)
		}
	})
}

func TestSeveralEnginesInOneProcess(t *testing.T) {
	eachEngine(t, func(t *testing.T, kind string) {
		var conns []net.Conn
		for range 4 {
			accept, _ := accepting(echoing)
			conns = append(conns, serve(t, kind, config{}, accept).dial())
		}
		for i, c := range conns {
			mustWrite(t, c, []byte{byte(i)})
		}
		for i, c := range conns {
			if got := mustRead(t, c, 1)[0]; got != byte(i) {
				t.Fatalf("engine %d answered %d", i, got)
			}
		}
	})
}

// Closed and Drained may send and close; nothing of it may be lost or called twice.
func TestClosedMayCloseOthers(t *testing.T) {
	eachEngine(t, func(t *testing.T, kind string) {
		accept, handlers := accepting(nil)
		s := serve(t, kind, config{}, func(c loop.Conn) loop.Handler {
			h := accept(c).(*handler)
			return &chained{h}
		})
		a, b := s.dial(), s.dial()
		ha, hb := wait(t, handlers, "the first"), wait(t, handlers, "the second")
		s.on(func() {
			ha.drained = func() { hb.c.Send([]byte("he is gone")); hb.c.Close(io.ErrUnexpectedEOF) }
		})
		a.Close()
		if got, err := io.ReadAll(b); err != nil || string(got) != "he is gone" {
			t.Fatalf("got %q, %v", got, err)
		}
		ha.wasClosed(t)
		if why := hb.wasClosed(t); why != io.ErrUnexpectedEOF {
			t.Fatal(why)
		}
	})
}

// chained runs drained when it is closed.
type chained struct{ *handler }

func (h *chained) Closed(why error) { h.Drained(); h.handler.Closed(why) }

// Who was refused because too many waited is not refused any more when they have run, though nothing else happens: the
// last of them may have been the last that a pass has time for.
func TestPostsThatHaveRunMakeRoom(t *testing.T) {
	eachEngine(t, func(t *testing.T, kind string) {
		accept, _ := accepting(nil)
		s := serve(t, kind, config{options: loop.Options{Limits: loop.Limits{PostsMax: 1, PassPosts: 1}}}, accept)
		for n := range 10 {
			ran := make(chan struct{})
			testkit.Until(t, fmt.Sprintf("post %d is taken, as none waits", n), func() bool { return s.e.Post(func() { close(ran) }) })
			wait(t, ran, "the post")
		}
	})
}
