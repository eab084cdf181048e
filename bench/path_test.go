//go:build linux

package bench

import (
	"context"
	"net"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"github.com/loopmq/loopmq/broker"
)

// startBroker serves in this process until the test ends.
func startBroker(tb testing.TB) netip.AddrPort {
	tb.Helper()
	b, stop := serve(tb, nil, func(run func()) { run() })
	tb.Cleanup(stop)
	return addrOf(b)
}

// addrOf is where b listens.
func addrOf(b *broker.Broker) netip.AddrPort { return b.Addrs()[0].(*net.TCPAddr).AddrPort() }

// serve serves in this process until stop is called; nil: nothing is recorded.
// on calls what it is given, on a goroutine of its own, which becomes the loop's.
func serve(tb testing.TB, rec *broker.Recording, on func(run func())) (b *broker.Broker, stop func()) {
	tb.Helper()
	b, err := broker.New(broker.Config{Listeners: []broker.Listener{{URL: "mqtt://127.0.0.1:0"}}, Record: rec})
	if err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go on(func() { ended <- b.Run(ctx) })
	select {
	case <-b.Ready():
	case err := <-ended:
		cancel()
		tb.Fatalf("broker did not start: %v", err)
	}
	return b, func() {
		cancel()
		if err := <-ended; err != nil {
			tb.Errorf("broker: %v", err)
		}
	}
}

// BenchmarkPath is the whole way of a message, socket to socket, in one
// process. One operation is one delivery.
func BenchmarkPath(b *testing.B) {
	for _, s := range Scenarios() {
		if s.Kind != Stream {
			continue
		}
		b.Run(s.Name, func(b *testing.B) {
			addr := startBroker(b)
			b.ReportAllocs()
			b.ResetTimer()
			res, err := Run(s, Options{Addr: addr, Deliveries: int64(b.N), Core: -1})
			if err != nil {
				b.Fatal(err)
			}
			if res.Share() != 1 {
				b.Fatalf("%d of %d deliveries arrived", res.Received, res.Wanted)
			}
			b.ReportMetric(res.Rate(), "deliveries/s")
			b.ReportMetric(float64(res.Elapsed.Nanoseconds())/float64(res.Deliveries), "ns/delivery")
		})
	}
}

// TestDeliveriesAllocateNothing counts what the broker and the generator, in
// one process, allocate from socket to socket, beside what connecting takes.
func TestDeliveriesAllocateNothing(t *testing.T) {
	for _, s := range Scenarios() {
		if s.Name != "1to1" && s.Name != "1to100" {
			continue
		}
		t.Run(s.Name, func(t *testing.T) {
			addr := startBroker(t)
			allocations := func(deliveries int64) uint64 {
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				res, err := Run(s, Options{Addr: addr, Deliveries: deliveries, Core: -1})
				if err != nil || res.Share() != 1 {
					t.Fatalf("%d of %d deliveries arrived, %v", res.Received, res.Wanted, err)
				}
				runtime.ReadMemStats(&after)
				return after.Mallocs - before.Mallocs
			}
			const few, many = 100_000, 500_000
			base := allocations(few)
			if n := allocations(many); n > base+(many-few)/1000 {
				t.Errorf("%d allocations for %d deliveries, %d for %d", n, many, base, few)
			}
		})
	}
}

// TestBrokerLosesNothing runs every scenario of the benchmark once, small.
func TestBrokerLosesNothing(t *testing.T) {
	for _, s := range Scenarios() {
		if s.Filters > 1000 {
			continue // takes long, and is no other case
		}
		t.Run(s.Name, func(t *testing.T) {
			s.Subscribers = min(s.Subscribers, 100)
			if s.Count > 0 {
				s.Count = 1000
			}
			deliveries := min(100_000, int64(500<<20/(s.PayloadBytes+1)))
			res, err := Run(s, Options{Addr: startBroker(t), Deliveries: deliveries, Measure: 100 * time.Millisecond, Core: -1})
			if err != nil {
				t.Fatal(err)
			}
			if res.Share() != 1 {
				t.Errorf("%d of %d deliveries arrived", res.Received, res.Wanted)
			}
		})
	}
}
