package clients

import (
	"os"
	"testing"
	"time"

	"github.com/loopmq/loopmq/broker"
	"github.com/loopmq/loopmq/internal/leak"
	"github.com/loopmq/loopmq/internal/testkit"
)

// patience is how long a test waits for what must come.
const patience = 20 * time.Second

// atEnd stops the brokers when all tests are over.
var atEnd testkit.AtEnd

func TestMain(m *testing.M) { os.Exit(leak.Main(atEnd.After(m))) }

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
	atEnd.Add(testkit.Start(t, b))
	return b.Addrs()[0].String()
}
