package loop_test

import (
	"bytes"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/loopmq/loopmq/loop"
)

// piecemeal has every pass write a little, and hold little.
func piecemeal() loop.Limits {
	return loop.Limits{
		OutputBytesMax: 64 << 20, OutputLowBytes: 8 << 10, FlushConns: 2, FlushBytes: 20_000, PassSends: 50,
		ReadBytes: 8 << 10, ArenaBytes: 32 << 10, ViewBytesMax: 256 << 10,
	}
}

func TestEveryByteArrivesInOrderWhenOutputIsLate(t *testing.T) {
	eachEngine(t, func(t *testing.T, kind string) {
		st := relayTest(t, kind, piecemeal(), 30, randomFrames(7, 1<<20, 60_000), loop.Conn.SendView)
		if st.PartFlushes == 0 {
			t.Error("all output was flushed at one go: not the case to test")
		}
	})
}

// One reader takes nothing until all others have everything.
func TestSlowReaderAmongLateOnes(t *testing.T) {
	eachEngine(t, func(t *testing.T, kind string) {
		r := &relaying{send: loop.Conn.SendView}
		s := serve(t, kind, config{options: loop.Options{Limits: piecemeal()}}, r.accept)
		source, conns := r.joined(s, 8)
		want := randomFrames(8, 12<<20, 200_000)
		got := func(c io.Reader) {
			b := make([]byte, len(want))
			if n, err := io.ReadFull(c, b); err != nil || !bytes.Equal(b, want) {
				t.Errorf("%d of %d bytes, the first that differs is %d: %v", n, len(b), firstDifference(b, want), err)
			}
		}
		var all sync.WaitGroup
		for _, c := range conns[1:] {
			all.Go(func() { got(c) })
		}
		mustWrite(t, source, want)
		all.Wait()
		got(conns[0])
	})
}

// Half of the readers are closed in the pass of the message, and the engine is stopped while the others still wait for it.
func TestCloseAndStopWithLateOutput(t *testing.T) {
	eachEngine(t, func(t *testing.T, kind string) {
		const readers = 200
		lim := piecemeal()
		lim.FlushConns = 1
		r := &relaying{}
		s := serve(t, kind, config{options: loop.Options{Limits: lim}}, r.accept)
		source, conns := r.joined(s, readers)
		e, frames := s.e, 0
		s.on(func() {
			r.send = func(c loop.Conn, frame []byte) bool {
				sent := c.SendView(frame)
				if frames++; frames%2 == 0 {
					c.Close(nil)
				}
				if frames == readers {
					e.Stop(patience)
				}
				return sent
			}
		})
		message := frame(bytes.Repeat([]byte("last words "), 100))
		mustWrite(t, source, message)
		for i, c := range conns {
			if got, err := io.ReadAll(c); !bytes.Equal(got, message) {
				t.Errorf("reader %d got %d of %d bytes: %v", i, len(got), len(message), err)
			}
		}
		s.e = nil
		s.ended(e)
	})
}

// A message that is on its way to many holds up nobody else: two others exchange messages meanwhile.
func TestOthersAreServedWhileOutputIsLate(t *testing.T) {
	eachEngine(t, func(t *testing.T, kind string) {
		const readers = 300
		r := &relaying{send: loop.Conn.SendView}
		lim := piecemeal()
		lim.FlushConns = 1
		var echo *handler
		s := serve(t, kind, config{options: loop.Options{Limits: lim}}, func(c loop.Conn) loop.Handler {
			if len(r.to) < readers {
				return r.accept(c)
			}
			echo = newHandler(c)
			echoing(echo)
			return echo
		})
		source, conns := r.joined(s, readers)
		witness := s.dial()
		s.until("the witness is accepted", func() bool { return echo != nil })
		message := frame(make([]byte, 1000))
		began := time.Now()
		for range 20 {
			mustWrite(t, source, message)
			mustWrite(t, witness, []byte("ping"))
			if got := mustRead(t, witness, 4); string(got) != "ping" {
				t.Fatalf("got %q", got)
			}
		}
		t.Logf("20 exchanges took %v", time.Since(began))
		for _, c := range conns {
			if got := mustRead(t, c, 20*len(message)); !bytes.Equal(got, bytes.Repeat(message, 20)) {
				t.Fatal("bytes differ")
			}
		}
	})
}
