package broker_test

import (
	"context"
	"sync"
	"testing"

	"github.com/loopmq/loopmq/broker"
)

// What tells others how the broker stands may be asked while a reload changes it:
// the race detector looks on.
func TestAskedDuringReloads(t *testing.T) {
	one := broker.Config{Listeners: []broker.Listener{{URL: "mqtt://127.0.0.1:0"}}}
	two := broker.Config{
		Listeners:    []broker.Listener{{URL: "mqtt://127.0.0.1:0", Name: "other"}, {URL: "ws://127.0.0.2:0/mqtt"}},
		PasswordFile: file(t, "users", ""),
	}
	b := start(t, one)
	done, asked := make(chan struct{}), make(chan struct{}, 1)
	var asking sync.WaitGroup
	asking.Go(func() {
		for {
			n := len(b.Addrs())
			if urls := len(b.URLs()); n < 1 || n > 2 || urls < 1 || urls > 2 || b.Open() {
				t.Errorf("%d addresses, %d URLs, open: %v", n, urls, b.Open())
			}
			_, _, _ = b.Passwords(), b.WhoMayConnect(), b.Certificates()
			if err := b.Dump(context.Background()); err != nil {
				t.Error(err)
			}
			select {
			case <-done:
				return
			case asked <- struct{}{}:
			default:
			}
		}
	})
	for range 10 {
		<-asked
		reload(t, b, two)
		<-asked
		reload(t, b, one)
	}
	close(done)
	asking.Wait()
}
