package child

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strings"
	"syscall"
	"time"

	"github.com/loopmq/loopmq/broker"
	"github.com/loopmq/loopmq/loop"
	"github.com/loopmq/loopmq/router"
)

// askedEnv tells a test binary to be the broker.
const askedEnv = "LOOPMQ_TEST_CHILD"

// stateEnv is its state directory, addrsEnv are its addresses with a space between.
const (
	stateEnv = "LOOPMQ_TEST_STATE"
	addrsEnv = "LOOPMQ_TEST_ADDRS"
)

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
// JSON, and ends with its input, or by SIGTERM.
func Serve(urls []string, limits broker.Limits) error {
	cfg := broker.Config{Limits: limits, ShutdownTimeout: time.Millisecond, StateDir: os.Getenv(stateEnv)}
	addrs := strings.Fields(os.Getenv(addrsEnv))
	for i, u := range urls {
		if i < len(addrs) {
			u = strings.Replace(u, "127.0.0.1:0", addrs[i], 1)
		}
		l, err := broker.ParseListener(u)
		if err != nil {
			return err
		}
		cfg.Listeners = append(cfg.Listeners, l)
	}
	if file := os.Getenv(recordEnv); file != "" {
		cfg.Record = &broker.Recording{File: file, BytesMax: 8 << 30}
	}
	b, err := broker.New(cfg)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	ended, asked := make(chan error, 1), make(chan error, 1)
	go func() { ended <- b.Run(ctx) }()
	select {
	case err := <-ended:
		return err
	case <-b.Ready():
	}
	for _, a := range b.Addrs() {
		fmt.Println(a)
	}
	go func() { asked <- answer(b) }()
	select {
	case err := <-ended:
		return err
	case err := <-asked:
		b.Shutdown()
		return errors.Join(err, <-ended)
	}
}

// answer answers questions as long as they come.
func answer(b *broker.Broker) error {
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
	return nil
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
