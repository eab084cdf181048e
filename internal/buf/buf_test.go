package buf_test

import (
	"bytes"
	"testing"

	"github.com/loopmq/loopmq/internal/buf"
	"github.com/loopmq/loopmq/internal/invariant"
)

func TestPoolLendsWhatWasAskedAndCountsIt(t *testing.T) {
	p := buf.NewPool(0)
	for _, c := range []struct{ size, capacity int }{
		{0, 64}, {1, 64}, {64, 64}, {65, 128}, {512, 512}, {513, 1024}, {1 << 20, 1 << 20}, {4 << 20, 4 << 20}, {4<<20 + 1, 4<<20 + 1},
	} {
		b := p.Get(c.size)
		if len(b) != 0 || cap(b) != c.capacity {
			t.Errorf("Get(%d): len %d cap %d, want 0 and %d", c.size, len(b), cap(b), c.capacity)
		}
		if got := p.InUse(); got != int64(c.capacity) {
			t.Errorf("Get(%d): in use %d, want %d", c.size, got, c.capacity)
		}
		p.Put(b)
		if got := p.InUse(); got != 0 {
			t.Errorf("after Put of %d: in use %d, want 0", c.size, got)
		}
	}
}

func TestPoolKeepsNoMoreThanItsLimit(t *testing.T) {
	p := buf.NewPool(1000)
	a, b := p.Get(512), p.Get(512)
	p.Put(a)
	p.Put(b)
	if got := p.Idle(); got != 512 {
		t.Fatalf("idle %d, want 512: the second does not fit in 1000", got)
	}
	if p = buf.NewPool(-1); p.Idle() != 0 {
		t.Fatal("a fresh pool is not empty")
	}
	p.Put(p.Get(64))
	if got := p.Idle(); got != 0 {
		t.Fatalf("idle %d, want 0 with a negative limit", got)
	}
}

func TestPoolAndRefDoNotAllocateWhenWarm(t *testing.T) {
	p := buf.NewPool(0)
	body := make([]byte, 300)
	if n := testing.AllocsPerRun(100, func() {
		p.Put(p.Get(2000))
		r := p.NewRef(body)
		r.Retain()
		r.Release()
		r.Release()
	}); n != 0 {
		t.Fatalf("%v allocations a round, want 0", n)
	}
}

func TestRefCopiesAndLivesUntilTheLastRelease(t *testing.T) {
	p := buf.NewPool(0)
	body := []byte("hello")
	r := p.NewRef(body)
	body[0] = 'J'
	r.Retain()
	r.Release()
	if !bytes.Equal(r.Bytes(), []byte("hello")) {
		t.Fatalf("got %q, want %q", r.Bytes(), "hello")
	}
	r.Release()
	if p.InUse() != 0 {
		t.Fatalf("in use %d after the last release", p.InUse())
	}
}

func TestRefMisuse(t *testing.T) {
	for name, misuse := range map[string]func(*buf.Ref){
		"released twice":         func(r *buf.Ref) { r.Release(); r.Release() },
		"retained after release": func(r *buf.Ref) { r.Release(); r.Retain() },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Fatal("no panic")
				}
			}()
			misuse(buf.NewPool(0).NewRef([]byte("x")))
		})
	}
}

func TestMemoryGivenBackIsMangledUnderInvariants(t *testing.T) {
	p := buf.NewPool(0)
	b := append(p.Get(4), "abcd"...)
	p.Put(b)
	if invariant.On != (b[0] == 0xCC) {
		t.Fatalf("invariants on: %v, first byte % x", invariant.On, b[0])
	}
}

func FuzzPoolAccount(f *testing.F) {
	f.Add([]byte{1, 200, 3, 0, 255, 7})
	f.Fuzz(func(t *testing.T, script []byte) {
		p := buf.NewPool(4096)
		var held [][]byte
		var want int64
		for _, op := range script {
			if op%2 == 0 && len(held) > 0 {
				last := held[len(held)-1]
				held = held[:len(held)-1]
				want -= int64(cap(last))
				p.Put(last)
				continue
			}
			b := p.Get(int(op) * 37)
			want += int64(cap(b))
			held = append(held, b)
		}
		if p.InUse() != want || p.Idle() > 4096 {
			t.Fatalf("in use %d, want %d; idle %d, limit 4096", p.InUse(), want, p.Idle())
		}
	})
}
