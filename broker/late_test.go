package broker_test

import (
	"context"
	"log/slog"
	"sync/atomic"
	"testing"

	"github.com/loopmq/loopmq/broker"
	"github.com/loopmq/loopmq/internal/testkit"
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
