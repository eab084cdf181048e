//go:build linux && faults

package loop_test

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/loopmq/loopmq/loop"
)

// TestFaultsMakeSense comes before all others in `make faults`: with faults that are none they would show nothing, or
// fail one by one.
func TestFaultsMakeSense(t *testing.T) {
	if _, err := loop.New("epoll", loop.Options{}); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{
		"nonsense", "seed=1 rate=0.1", "seed=1 rate=0.1 fatal=0 more", "seed=1 rate=0 fatal=0", "seed=1 rate=1 fatal=0",
		"seed=1 rate=0.5 fatal=0.5", "seed=1 rate=-0.1 fatal=0.2", "seed=1 rate=NaN fatal=0",
	} {
		t.Setenv(loop.FaultsEnv, text)
		if _, err := loop.New("epoll", loop.Options{}); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
}

// TestDeadlyFaultsLeaveNothingBehind has random traffic over connections that system calls end at any moment, from
// clients that come again. What a client reads is the beginning of what is due to it, whatever becomes of the
// connection, and in the end nothing is held.
func TestDeadlyFaultsLeaveNothingBehind(t *testing.T) {
	seeds := uint64(4)
	if testing.Short() {
		seeds = 1
	}
	for seed := range seeds {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Setenv(loop.FaultsEnv, fmt.Sprintf("seed=%d rate=0.2 fatal=0.03", seed))
			files, goroutines := descriptors(t), runtime.NumGoroutine()
			var open atomic.Int64
			s := serve(t, "epoll", config{options: loop.Options{
				Limits: loop.Limits{ReadBytes: 4 << 10, ArenaBytes: 32 << 10, OutputBytesMax: 16 << 10},
			}}, func(c loop.Conn) loop.Handler {
				open.Add(1)
				h := newHandler(c)
				h.atEnd = func() { open.Add(-1) }
				paced(h, seed+c.ID())
				return h
			})
			e := s.e
			var all sync.WaitGroup
			var whole atomic.Int64
			for i := range 8 {
				all.Go(func() {
					rng := rand.New(rand.NewPCG(seed, uint64(i)))
					for range 40 {
						ok, err := converse(s.addrs[0].String(), rng)
						if err != nil {
							t.Error(err)
							return
						}
						if ok {
							whole.Add(1)
						}
					}
				})
			}
			all.Wait()
			s.until("everybody has left", func() bool { return e.Stats().Conns == 0 && open.Load() == 0 })
			s.stop()
			struck := loop.Struck(e)
			for call, n := range struck {
				if n == 0 {
					t.Errorf("no fault at all in %s: %v", call, struck)
				}
			}
			t.Logf("%d of 320 conversations came to their end; faults: %v", whole.Load(), struck)
			for deadline := time.Now().Add(patience); runtime.NumGoroutine() > goroutines || descriptors(t) > files; {
				if time.Now().After(deadline) {
					t.Fatalf("%d goroutines and %d descriptors, before %d and %d",
						runtime.NumGoroutine(), descriptors(t), goroutines, files)
				}
				time.Sleep(time.Millisecond)
			}
		})
	}
}

// paced echoes by all ways of sending, and pauses where output is refused.
func paced(h *handler, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 1))
	h.data = func(view []byte) (int, error) {
		n := 0
		for n < len(view) {
			part := view[n : n+1+rng.IntN(len(view)-n)]
			send := h.c.Send
			if rng.IntN(2) == 0 {
				send = h.c.SendView
			}
			if !send(part) {
				h.c.Pause()
				break
			}
			n += len(part)
		}
		return n, nil
	}
	h.drained = func() { h.c.Resume() }
}

// converse sends up to 64 KiB and reads them again. It reports whether it came to the end; that it did not is no
// error, but wrong bytes are.
func converse(addr string, rng *rand.Rand) (ok bool, err error) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return false, fmt.Errorf("dial: %w", err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(patience))
	out := make([]byte, 1+rng.IntN(1<<rng.IntN(17)))
	for i := range out {
		out[i] = byte(rng.Uint32())
	}
	written := make(chan struct{})
	go func() {
		defer close(written)
		for rest := out; len(rest) > 0; {
			n, err := c.Write(rest[:min(len(rest), 3000)])
			if rest = rest[n:]; err != nil {
				return
			}
		}
	}()
	got := make([]byte, len(out))
	n, err := io.ReadFull(c, got)
	c.Close()
	<-written
	if !bytes.Equal(got[:n], out[:n]) {
		return false, fmt.Errorf("the first %d bytes that came back are not those sent", n)
	}
	if ne, is := err.(net.Error); is && ne.Timeout() {
		return false, fmt.Errorf("neither the end nor all bytes, %d of %d: %w", n, len(out), err)
	}
	return err == nil, nil
}

func descriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}
