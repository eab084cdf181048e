package broker_test

import (
	"path/filepath"
	"testing"

	"github.com/loopmq/loopmq/broker"
	"github.com/loopmq/loopmq/internal/testkit"
)

// A reload that comes while the broker starts, from somebody who rotates logs for
// instance, waits until it has.
func TestReloadDuringTheStart(t *testing.T) {
	eachEngine(t, func(t *testing.T, engine string) {
		cfg := broker.Config{
			Engine: engine, StateDir: filepath.Join(t.TempDir(), "state"),
			Listeners: []broker.Listener{{URL: "mqtt://127.0.0.1:0"}},
		}
		b, err := broker.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		no := false
		cfg.Anonymous = &no
		began, reloaded := make(chan struct{}), make(chan error, 1)
		go func() {
			close(began)
			reloaded <- b.Reload(cfg)
		}()
		<-began
		testkit.Serve(t, b)
		if err := <-reloaded; err != nil {
			t.Fatal(err)
		}
		refused(t, b, connect3, 5)
	})
}
