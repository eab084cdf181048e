package child

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"time"

	"github.com/loopmq/loopmq/broker"
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

	Conns      uint64
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
		h, err := holdings(b.Do, q)
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

// holdings asks the router and the loop, on the loop. Its type parameters stand for types of packages that are not
// imported here.
func holdings[R interface {
	Stats() P
	CheckInvariants() error
}, P, S any](do func(context.Context, func(R, S)) error, q Question) (h Held, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	err = do(ctx, func(r R, s S) {
		stats, to := reflect.ValueOf(r.Stats()).Elem(), reflect.ValueOf(&h).Elem()
		for _, name := range []string{"Clients", "Sessions", "Subscriptions", "Retained", "Queued", "Inflight"} {
			to.FieldByName(name).SetInt(stats.FieldByName(name).Int())
		}
		h.Conns = reflect.ValueOf(s).Elem().FieldByName("Conns").Uint()
		if q != Thorough {
			return
		}
		if broken := r.CheckInvariants(); broken != nil {
			h.Invariants = broken.Error()
		}
	})
	return h, err
}
