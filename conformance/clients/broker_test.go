package clients

import (
	"context"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/loopmq/loopmq/broker"
)

// patience is how long a test waits for what must come.
const patience = 20 * time.Second

// atEnd stops the brokers when all tests are over.
var atEnd struct {
	sync.Mutex
	stops []func() error
}

func TestMain(m *testing.M) {
	code := m.Run()
	for _, stop := range atEnd.stops {
		if err := stop(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// each runs f over a broker on each engine, given the broker's HOST:PORT.
func each(t *testing.T, f func(t *testing.T, addr string)) {
	t.Helper()
	t.Parallel()
	for _, engine := range []string{"epoll", "evio"} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			f(t, start(t, engine))
		})
	}
}

func start(t *testing.T, engine string) string {
	t.Helper()
	b, err := broker.New(broker.Config{
		Listeners: []broker.Listener{{URL: "mqtt://127.0.0.1:0"}}, Engine: engine, ShutdownTimeout: time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- b.Run(context.Background()) }()
	select {
	case <-b.Ready():
	case err := <-ended:
		t.Fatalf("broker did not start: %v", err)
	}
	atEnd.Lock()
	defer atEnd.Unlock()
	atEnd.stops = append(atEnd.stops, func() error {
		b.Shutdown()
		select {
		case err := <-ended:
			if err != nil {
				return fmt.Errorf("broker of %s ended with: %w", t.Name(), err)
			}
			return nil
		case <-time.After(patience):
			return fmt.Errorf("broker of %s still runs %v after Shutdown", t.Name(), patience)
		}
	})
	return b.Addrs()[0].String()
}
