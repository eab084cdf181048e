package broker_test

import (
	"context"
	"sync"
	"testing"

	"github.com/loopmq/loopmq/broker"
)

// What tells others how the broker stands may be asked while a reload changes it:
// the race detector looks on, and each has a goroutine so that none is an excuse for
// another.
func TestAskedDuringReloads(t *testing.T) {
	one := broker.Config{Listeners: []broker.Listener{{URL: "mqtt://127.0.0.1:0"}}}
	two := broker.Config{
		Listeners:    []broker.Listener{{URL: "mqtt://127.0.0.1:0", Name: "other"}, {URL: "ws://127.0.0.2:0/mqtt"}},
		PasswordFile: file(t, "users", ""),
	}
	b := start(t, one)
	b.Addrs() // waits until it is ready
	done := make(chan struct{})
	var asking sync.WaitGroup
	for name, ask := range map[string]func() bool{
		"Addrs":         func() bool { n := len(b.Addrs()); return n == 1 || n == 2 },
		"URLs":          func() bool { n := len(b.URLs()); return n == 1 || n == 2 },
		"Open":          func() bool { return !b.Open() },
		"Passwords":     func() bool { b.Passwords(); return true },
		"WhoMayConnect": func() bool { return b.WhoMayConnect() != "" },
		"Certificates":  func() bool { return b.Certificates() == nil },
		"Dump":          func() bool { return b.Dump(context.Background()) == nil },
	} {
		asking.Go(func() {
			for {
				if !ask() {
					t.Errorf("%s is wrong", name)
				}
				select {
				case <-done:
					return
				default:
				}
			}
		})
	}
	for range 10 {
		reload(t, b, two)
		reload(t, b, one)
	}
	close(done)
	asking.Wait()
}
