package record_test

import (
	"errors"
	"syscall"
	"testing"

	"github.com/loopmq/loopmq/broker/record"
	"github.com/loopmq/loopmq/internal/testkit"
	"github.com/loopmq/loopmq/router"
)

// gate is a file that takes nothing until it is opened.
type gate struct {
	memory
	open chan struct{}
}

func (g *gate) WriteAt(b []byte, at int64) (int, error) {
	<-g.open
	return g.memory.WriteAt(b, at)
}

// Where the file takes nothing the recording ends, by the bytes that wait or by the pieces, and the loop goes on. What
// there is of it can be played.
func TestFileThatTakesNothing(t *testing.T) {
	for name, row := range map[string]struct {
		packet      []byte
		least, most int // passes until the end
	}{
		"bytes":  {publish(1 << 20), 64, 70},
		"pieces": {[]byte{0xc0, 0}, 1024, 2100}, // the writer may have taken as many already
	} {
		t.Run(name, func(t *testing.T) {
			g := &gate{open: make(chan struct{})}
			rc := router.Config{Rand: func() uint64 { return 4 }}
			var end error
			rec := record.New(g, &rc, record.Options{BytesMax: 1 << 40, Ended: func(why error) { end = why }})
			r := router.New(rc)
			rec.Start(r)
			in := rec.Attach(r, &sink{}, router.Peer{})
			now, passes := int64(1e9), 0
			pass := func(b []byte) {
				now += 1e8
				r.BeginPass(now)
				rec.BeginPass(now)
				if n, err := in.Data(b); n != len(b) || err != nil {
					t.Fatalf("%d of %d bytes, %v", n, len(b), err)
				}
				rec.EndPass(r.EndPass())
				passes++
			}
			for pass(testkit.Bytes(connectA)); end == nil && passes < 2*row.most; {
				pass(row.packet)
			}
			if !errors.Is(end, record.ErrSlow) || passes < row.least || passes > row.most {
				t.Errorf("ended after %d passes with %v", passes, end)
			}
			pass(row.packet)
			close(g.open)
			if err := rec.Close(); err != nil {
				t.Fatal(err)
			}
			if _, rep := replay(t, g.Bytes()); len(rep.Differs) > 0 || rep.Ended != "" || rep.Passes < row.least-2 {
				t.Errorf("%d passes are played, %q, %q", rep.Passes, rep.Ended, rep.Differs)
			}
		})
	}
}

// disk is a file on a disk that is full once room is used up, and has room again behind that.
type disk struct {
	memory
	room int
}

func (d *disk) WriteAt(b []byte, at int64) (int, error) {
	if fits := d.room - int(at); fits < len(b) {
		n, _ := d.memory.WriteAt(b[:max(fits, 0)], at)
		d.room = 1 << 40
		return n, syscall.ENOSPC
	}
	return d.memory.WriteAt(b, at)
}

// Behind what a full disk has not taken nothing follows, so that what is before it can be played.
func TestFileOnAFullDisk(t *testing.T) {
	d := &disk{room: 2000}
	rc := router.Config{Rand: func() uint64 { return 4 }}
	var end error
	rec := record.New(d, &rc, record.Options{Ended: func(why error) { end = why }})
	r := router.New(rc)
	rec.Start(r)
	in := rec.Attach(r, &sink{}, router.Peer{})
	now := int64(1e9)
	data := testkit.Bytes(connectA)
	testkit.Until(t, "the recording has ended", func() bool {
		now += 1e8
		r.BeginPass(now)
		rec.BeginPass(now)
		if n, err := in.Data(data); n != len(data) || err != nil {
			t.Fatalf("%d of %d bytes, %v", n, len(data), err)
		}
		rec.EndPass(r.EndPass())
		data = publish(100)
		return end != nil
	})
	if err := rec.Close(); !errors.Is(end, syscall.ENOSPC) || !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("it ended with %v, and Close with %v", end, err)
	}
	if _, rep := replay(t, d.Bytes()); len(d.Bytes()) != 2000 || len(rep.Differs) > 0 || rep.Ended != "" || rep.Passes < 2 {
		t.Errorf("%d bytes; %d passes are played, %q, %q", len(d.Bytes()), rep.Passes, rep.Ended, rep.Differs)
	}
}
