package transport_test

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"runtime"
	"testing"
	"time"

	"github.com/loopmq/loopmq/internal/buf"
	"github.com/loopmq/loopmq/loop"
	"github.com/loopmq/loopmq/loop/transport"
)

// inMemory is a net.Conn that is a pipe until both ends have shaken hands, and then two buffers.
type inMemory struct {
	net.Conn
	buffered bool
	in, out  bytes.Buffer
}

func (c *inMemory) Read(b []byte) (int, error) {
	if c.buffered {
		return c.in.Read(b)
	}
	return c.Conn.Read(b)
}

func (c *inMemory) Write(b []byte) (int, error) {
	if c.buffered {
		return c.out.Write(b)
	}
	return c.Conn.Write(b)
}

// keeping is a connection that keeps what is sent in one buffer.
type keeping struct {
	fakeConn
	out bytes.Buffer
}

func (c *keeping) Send(b []byte) bool        { c.out.Write(b); return true }
func (c *keeping) SendControl(b []byte) bool { c.out.Write(b); return true }

// taking is a handler that takes everything and keeps nothing.
type taking struct {
	c     loop.Conn
	bytes int
}

func (h *taking) Data(view []byte) (int, error) { h.bytes += len(view); return len(view), nil }
func (*taking) Drained()                        {}
func (*taking) Closed(error)                    {}

// filtered is a TLS connection without an engine, and its client.
type filtered struct {
	door   *transport.TLSDoor
	outer  *keeping
	filter *transport.TLS
	inner  *taking
	client *tls.Conn
	wire   *inMemory // of the client
}

// newFiltered shakes hands; a nil pool is one of its own.
func newFiltered(t testing.TB, id *identity, config *tls.Config, version uint16, pool *buf.Pool) *filtered {
	t.Helper()
	posts := make(chan func(), 100)
	door, err := transport.NewTLSDoor(transport.TLSOptions{
		Config: func() *tls.Config { return config }, Complete: func(f func()) { posts <- f }, Pool: pool,
	})
	if err != nil {
		t.Fatal(err)
	}
	ours, theirs := net.Pipe()
	f := &filtered{door: door, outer: &keeping{}, wire: &inMemory{Conn: theirs}}
	f.filter = door.TLS(f.outer, func(c loop.Conn, _ *tls.ConnectionState) loop.Handler {
		f.inner = &taking{c: c}
		return f.inner
	}, func(why error) { t.Error(why) })
	f.outer.h = f.filter
	client := id.client()
	client.MaxVersion, client.DynamicRecordSizingDisabled = version, true
	f.client = tls.Client(f.wire, client)
	done := make(chan error, 1)
	go func() { done <- f.client.Handshake() }()
	came := make(chan []byte)
	go func() {
		for {
			b := make([]byte, 4096)
			n, err := ours.Read(b)
			if err != nil {
				return
			}
			came <- b[:n]
		}
	}()
	for shaken := false; !shaken || f.inner == nil; {
		select {
		case b := <-came:
			f.outer.feed(b)
		case post := <-posts:
			post()
		case err := <-done:
			if shaken = true; err != nil {
				t.Fatal(err)
			}
			f.wire.buffered = true
			f.wire.Conn.Close()
		}
		if f.outer.out.Len() > 0 && !shaken {
			if _, err := f.outer.out.WriteTo(ours); err != nil {
				t.Fatal(err)
			}
		}
	}
	f.outer.turn() // hands over what was left of the handshake
	_, _ = f.outer.out.WriteTo(&f.wire.in)
	return f
}

// newPair is two ends of crypto/tls in memory.
func newPair(t testing.TB, id *identity, config *tls.Config, version uint16) (client, server *tls.Conn, cw, sw *inMemory) {
	t.Helper()
	a, b := net.Pipe()
	cw, sw = &inMemory{Conn: a}, &inMemory{Conn: b}
	clientConfig := id.client()
	clientConfig.MaxVersion, clientConfig.DynamicRecordSizingDisabled = version, true
	client, server = tls.Client(cw, clientConfig), tls.Server(sw, config)
	done := make(chan error, 1)
	go func() { done <- server.Handshake() }()
	err := client.Handshake()
	go func() { _, _ = io.CopyN(&cw.in, a, 1<<20) }() // tickets
	if e := <-done; err != nil || e != nil {
		t.Fatal(err, e)
	}
	cw.buffered, sw.buffered = true, true
	return client, server, cw, sw
}

// BenchmarkTLSBesideStd compares the filter with crypto/tls in memory, in one run: for each message one record is
// decrypted and one encrypted. The filter gets all records in one view and gathers what is sent in one pass.
func BenchmarkTLSBesideStd(b *testing.B) {
	id := newIdentity(b)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for _, size := range []int{64, 1024, 16_000} {
			b.Run(fmt.Sprintf("%s/%d", tls.VersionName(version), size), func(b *testing.B) {
				besideStd(b, id, version, size)
			})
		}
	}
}

func besideStd(b *testing.B, id *identity, version uint16, size int) {
	config := id.server()
	f := newFiltered(b, id, config, version, nil)
	client, server, cw, sw := newPair(b, id, config, version)
	defer cw.Conn.Close()
	payload, scratch := make([]byte, size), make([]byte, 20_000)
	view := make([]byte, 0, 1<<20)
	batch := max(1, 60_000/(size+30)) // what one read of the loop brings
	var encrypt, decrypt, in, out time.Duration
	messages := 0
	check := func(err error) {
		if err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		start := time.Now()
		for range batch {
			_, err := client.Write(payload)
			check(err)
		}
		encrypt += time.Since(start)
		cw.out.WriteTo(&sw.in)
		start = time.Now()
		for range batch {
			_, err := io.ReadFull(server, scratch[:size])
			check(err)
		}
		decrypt += time.Since(start)

		for range batch {
			_, err := f.client.Write(payload)
			check(err)
		}
		view = append(view[:0], f.wire.out.Bytes()...)
		f.wire.out.Reset()
		start = time.Now()
		used, err := f.filter.Data(view)
		in += time.Since(start)
		if check(err); used != len(view) {
			b.Fatal("not all was used")
		}
		start = time.Now()
		for range batch {
			f.inner.c.Send(payload)
		}
		f.door.Flush()
		out += time.Since(start)
		f.outer.out.Reset()
		messages += batch
	}
	each := func(d time.Duration) float64 { return float64(d.Nanoseconds()) / float64(messages) }
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(each(encrypt+decrypt), "std-ns/msg")
	b.ReportMetric(each(in), "in-ns/msg")
	b.ReportMetric(each(out), "out-ns/msg")
	b.ReportMetric(float64(encrypt+decrypt)/float64(in+out), "times-std")
}

// A message in and one out cost no memory but what tls.Conn takes for each record.
func TestTLSAllocations(t *testing.T) {
	id := newIdentity(t)
	f := newFiltered(t, id, id.server(), tls.VersionTLS13, nil)
	payload, view := make([]byte, 100), make([]byte, 0, 1<<16)
	const records = 100 // many: the pools of crypto/tls are not exact
	client := testing.AllocsPerRun(100, func() {
		for range records {
			_, _ = f.client.Write(payload)
			f.wire.out.Reset()
		}
	})
	f = newFiltered(t, id, id.server(), tls.VersionTLS13, nil)
	both := testing.AllocsPerRun(100, func() {
		for range records {
			_, _ = f.client.Write(payload)
			view = append(view[:0], f.wire.out.Bytes()...)
			f.wire.out.Reset()
			if used, err := f.filter.Data(view); used != len(view) || err != nil {
				t.Fatal(used, err)
			}
		}
	})
	perRecord := (both - client) / records
	perPass := testing.AllocsPerRun(1000, func() {
		for range 100 {
			f.inner.c.Send(payload)
		}
		f.door.Flush()
		f.outer.out.Reset()
	})
	if perRecord > 1.5 || perPass > 2 {
		t.Errorf("%v allocations for a record read, %v for a pass with 100 sends, want 1", perRecord, perPass)
	}
}

// An idle connection holds little, even when it has seen the longest record.
func TestTLSIdleMemory(t *testing.T) {
	const conns = 200
	id := newIdentity(t)
	config, pool := id.server(), buf.NewPool(0)
	for _, row := range []struct {
		version uint16
		size    int
		most    int
	}{
		{tls.VersionTLS12, 100, 12 << 10},
		{tls.VersionTLS13, 100, 12 << 10},
		{tls.VersionTLS12, 16_000, 30 << 10}, // golang/go#43563: a tls.Conn keeps the memory of the longest record
		{tls.VersionTLS13, 16_000, 30 << 10},
	} {
		kept := make([]*filtered, conns)
		before := liveHeap()
		for i := range kept {
			kept[i] = newFiltered(t, id, config, row.version, pool)
			if _, err := kept[i].client.Write(make([]byte, row.size)); err != nil {
				t.Fatal(err)
			}
			kept[i].outer.feed(kept[i].wire.out.Bytes())
			kept[i].inner.c.Send(make([]byte, row.size))
			kept[i].door.Flush()
			if kept[i].inner.bytes != row.size {
				t.Fatal(kept[i].inner.bytes)
			}
			f := kept[i]
			f.client, f.wire, f.outer.out, f.outer.tail, f.outer.sends = nil, nil, bytes.Buffer{}, nil, nil // what is not ours
		}
		each := (liveHeap() - before) / conns
		t.Logf("%s, records of %d: %d bytes a connection, its door included", tls.VersionName(row.version), row.size, each)
		if each > row.most {
			t.Errorf("more than %d", row.most)
		}
		runtime.KeepAlive(kept)
	}
}

func liveHeap() int {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc + m.StackInuse)
}
