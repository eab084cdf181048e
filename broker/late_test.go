package broker_test

import (
	"context"
	"crypto/x509/pkix"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/loopmq/loopmq/broker"
	"github.com/loopmq/loopmq/internal/testkit"
	"github.com/loopmq/loopmq/loop"
)

// lateLog is a log that stops the broker just before the next record is handed
// over, and then lets that go on.
type lateLog struct {
	slog.Handler
	before atomic.Pointer[func()]
}

func (l *lateLog) Enabled(context.Context, slog.Level) bool {
	if f := l.before.Swap(nil); f != nil {
		(*f)()
	}
	return true
}

// A dump that the end of the broker overtakes writes nothing more, and does no harm.
func TestDumpAtTheEnd(t *testing.T) {
	log := &lateLog{Handler: slog.DiscardHandler}
	cfg := broker.Config{Log: slog.New(log), Listeners: []broker.Listener{{URL: "mqtt://127.0.0.1:0"}}}
	b, err := broker.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	stop := testkit.Serve(t, b)
	log.before.Store(&stop)
	if err := b.Dump(context.Background()); err != nil {
		t.Fatal(err)
	}
	if log.before.Load() != nil {
		t.Error("the broker did not end in between")
	}
}

// A reload that meets the end of the broker leaves nobody who looks after
// certificates; TestMain counts.
func TestReloadAtTheEnd(t *testing.T) {
	a := newAuthority(t)
	a.sign("server", pkix.Name{}, nil)
	cfg := broker.Config{Listeners: []broker.Listener{{URL: "mqtts://127.0.0.1:0", TLS: a.server("server")}}}
	for range 30 {
		b, err := broker.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		stop := testkit.Serve(t, b)
		reloaded := make(chan error, 1)
		again := cfg
		again.ShutdownTimeout = time.Second
		go func() { reloaded <- b.Reload(again) }()
		stop()
		if err := <-reloaded; err != nil && !errors.Is(err, broker.ErrNotRunning) && !errors.Is(err, loop.ErrStopped) {
			t.Fatal(err)
		}
	}
}
