package testkit

import (
	"context"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/loopmq/loopmq/internal/leak"
)

// Broker is what the tests serve; package broker, which has tests here itself, is not imported.
type Broker interface {
	Run(ctx context.Context) error
	Ready() <-chan struct{}
	Shutdown()
}

// Serve runs a broker until the test ends, or stop is called, which may be called again.
func Serve(t testing.TB, b Broker) (stop func()) {
	t.Helper()
	leak.Test(t)
	end := Start(t, b)
	stop = sync.OnceFunc(func() {
		if err := end(); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return stop
}

// Start runs a broker until stop is called.
func Start(t testing.TB, b Broker) (stop func() error) {
	t.Helper()
	name, ended := t.Name(), make(chan error, 1)
	go func() { ended <- b.Run(context.Background()) }()
	select {
	case <-b.Ready():
	case err := <-ended:
		t.Fatalf("broker did not start: %v", err)
	case <-time.After(Patience):
		t.Fatal("the broker does not get ready")
	}
	return func() error {
		b.Shutdown()
		select {
		case err := <-ended:
			if err != nil {
				return fmt.Errorf("broker of %s ended with: %w", name, err)
			}
			return nil
		case <-time.After(Patience):
			return fmt.Errorf("broker of %s still runs %v after Shutdown", name, Patience)
		}
	}
}

// AtEnd is what must wait until all tests of a process are over: evio closes the descriptors of its listeners twice, by
// then perhaps those of another test.
type AtEnd struct {
	mu    sync.Mutex
	stops []func() error
}

// Add adds what is to be done then.
func (a *AtEnd) Add(stop func() error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.stops = append(a.stops, stop)
}

// After is tests and then what had to wait for their end.
func (a *AtEnd) After(tests interface{ Run() int }) interface{ Run() int } {
	return &toTheEnd{a, tests}
}

// toTheEnd runs both.
type toTheEnd struct {
	a     *AtEnd
	tests interface{ Run() int }
}

// Run returns the status to exit with.
func (t *toTheEnd) Run() int {
	code := t.tests.Run()
	for _, stop := range t.a.stops {
		if err := stop(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	return code
}
