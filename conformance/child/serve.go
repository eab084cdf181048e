package child

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"time"

	"github.com/loopmq/loopmq/broker"
	"github.com/loopmq/loopmq/loop"
	"github.com/loopmq/loopmq/router"
)

// askedEnv tells a test binary to be the broker.
const askedEnv = "LOOPMQ_TEST_CHILD"

// recordEnv is a file to record into, for loopmq replay.
const recordEnv = "LOOPMQ_TEST_RECORD"

// Asked tells whether this process is to be the broker.
func Asked() bool { return os.Getenv(askedEnv) != "" }

// Held is what a broker holds.
type Held struct {
	Clients, Sessions, Subscriptions, Retained, Queued, Inflight int

	Conns         uint64
	SlowTimeouts  uint64 // clients disconnected because they took nothing (0x97)
	DroppedFull   uint64 // QoS 0 messages dropped because a client took too little
	MemoryRefused uint64 // times that the memory limit has bitten

	Goroutines int
	HeapBytes  uint64 // after the last collection
	Invariants string // what is broken of them; asked for with Thorough only
}

// Question is what Server.Ask wants to know.
type Question string

const (
	Brief    Question = "brief"    // without an effect on the broker
	Thorough Question = "thorough" // garbage is collected and the invariants are checked first
)

// Serve is the broker's process: it prints the addresses of its listeners, answers each line that comes in by a line of
// JSON, and ends with its input.
func Serve(urls []string, limits broker.Limits) error {
	var listeners []broker.Listener
	for _, u := range urls {
		l, err := broker.ParseListener(u)
		if err != nil {
			return err
		}
		listeners = append(listeners, l)
	}
	cfg := broker.Config{Listeners: listeners, Limits: limits, ShutdownTimeout: time.Millisecond}
	if file := os.Getenv(recordEnv); file != "" {
		cfg.Record = &broker.Recording{File: file, BytesMax: 8 << 30}
	}
	b, err := broker.New(cfg)
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- b.Run(context.Background()) }()
	select {
	case err := <-ended:
		return err
	case <-b.Ready():
	}
	for _, a := range b.Addrs() {
		fmt.Println(a)
	}
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		q := Question(lines.Text())
		if q == Thorough {
			debug.FreeOSMemory()
		}
		h, err := holdings(b, q)
		if err != nil {
			return err
		}
		heap := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
		metrics.Read(heap)
		h.HeapBytes, h.Goroutines = heap[0].Value.Uint64(), runtime.NumGoroutine()
		if err := json.NewEncoder(os.Stdout).Encode(h); err != nil {
			return err
		}
	}
	b.Shutdown()
	return <-ended
}

// holdings asks the router and the loop, on the loop.
func holdings(b *broker.Broker, q Question) (h Held, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	err = b.Do(ctx, func(r *router.Router, s *loop.Stats) {
		stats := r.Stats()
		h = Held{
			Clients: stats.Clients, Sessions: stats.Sessions, Subscriptions: stats.Subscriptions,
			Retained: stats.Retained, Queued: stats.Queued, Inflight: stats.Inflight, Conns: s.Conns,
			SlowTimeouts: stats.LimitHits[router.LimitSlowTimeout], DroppedFull: stats.Dropped[router.DropOutputFull],
			MemoryRefused: stats.LimitHits[router.LimitMemory] + stats.Trims + stats.Held,
		}
		if q != Thorough {
			return
		}
		if broken := r.CheckInvariants(); broken != nil {
			h.Invariants = broken.Error()
		}
	})
	return h, err
}
