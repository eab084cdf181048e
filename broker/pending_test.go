package broker_test

import (
	"context"
	"io"
	"net"
	"testing"
	"time"

	"github.com/loopmq/loopmq/auth"
	"github.com/loopmq/loopmq/auth/guard"
	"github.com/loopmq/loopmq/broker"
)

// A reload with another guard while a login is being checked: the outcome is
// told to the guard that began it.
func TestReloadOfTheGuardDuringALogin(t *testing.T) {
	entered, leave := make(chan struct{}, 4), make(chan struct{})
	slow := &backend{check: func(ctx context.Context, r *auth.Request) (auth.Answer, error) {
		if string(r.Password) == "guess" {
			return auth.Answer{Decision: auth.Deny}, nil
		}
		entered <- struct{}{}
		select {
		case <-leave:
		case <-ctx.Done():
		}
		return auth.Answer{Decision: auth.Allow}, nil
	}}
	cfg := broker.Config{Backends: []auth.Backend{slow}, Listeners: []broker.Listener{{URL: "mqtt://127.0.0.1:0"}}}
	b := start(t, cfg)
	refused(t, b, login("x", "alice", "guess"), 4) // the guard has a row for the address now
	c := dial(t, b, 0)
	if _, err := io.WriteString(c, login("a", "alice", "right")); err != nil {
		t.Fatal(err)
	}
	<-entered
	cfg.Guard = guard.Config{AddressBurst: 3, Refill: time.Minute}
	reload(t, b, cfg)
	close(leave)
	expect(t, c, "", connack3)
	expect(t, dial(t, b, 0), login("b", "alice", "right"), connack3)
}

// A password that is right at one listener is none at another with users of its
// own, also where both have no name.
func TestListenersWithUsersOfTheirOwn(t *testing.T) {
	ours, theirs := mosquittoPasswd(t, "alice", "a"), mosquittoPasswd(t, "bob", "b")
	b := start(t, broker.Config{Listeners: []broker.Listener{
		{URL: "mqtt://127.0.0.1:0", PasswordFile: theirs}, {URL: "mqtt://127.0.0.1:0", PasswordFile: ours},
	}})
	refused(t, b, login("a", "alice", "a"), 4)
	expect(t, dial(t, b, 1), login("a", "alice", "a"), connack3)
	refused(t, b, login("a", "alice", "a"), 4)
	expect(t, dial(t, b, 0), login("b", "bob", "b"), connack3)
}

// slowly is a backend that says yes when it is told to; entered counts who waits.
func slowly() (b *backend, entered, leave chan struct{}) {
	entered, leave = make(chan struct{}, 16), make(chan struct{})
	return &backend{check: func(ctx context.Context, _ *auth.Request) (auth.Answer, error) {
		entered <- struct{}{}
		select {
		case <-leave:
		case <-ctx.Done():
		}
		return auth.Answer{Decision: auth.Allow}, nil
	}}, entered, leave
}

// Who is being checked while a reload takes his right to log in is not let in by
// what held before.
func TestReloadDuringALogin(t *testing.T) {
	eachEngine(t, func(t *testing.T, engine string) {
		slow, entered, leave := slowly()
		cfg := broker.Config{Engine: engine, Backends: []auth.Backend{slow}, Listeners: []broker.Listener{{URL: "mqtt://127.0.0.1:0"}}}
		b := start(t, cfg)
		gone, stays := dial(t, b, 0), dial(t, b, 0)
		for c, hello := range map[net.Conn]string{gone: login("a", "alice", "a"), stays: login("b", "bob", "b") + "\xc0\x00"} {
			if _, err := io.WriteString(c, hello); err != nil {
				t.Fatal(err)
			}
		}
		<-entered
		cfg.Backends, cfg.PasswordFile = nil, mosquittoPasswd(t, "bob", "b")
		reload(t, b, cfg)
		close(leave)
		expect(t, gone, "", "\x20\x02\x00\x04")
		ended(t, gone)
		expect(t, stays, "", connack3+"\xd0\x00")
	})
}

// The same where the listener itself is gone.
func TestReloadWithoutTheListenerDuringALogin(t *testing.T) {
	slow, entered, leave := slowly()
	cfg := broker.Config{Engine: "epoll", Backends: []auth.Backend{slow}, Listeners: []broker.Listener{{URL: "mqtt://127.0.0.1:0"}}}
	b := start(t, cfg)
	c := dial(t, b, 0)
	if _, err := io.WriteString(c, login("a", "alice", "a")); err != nil {
		t.Fatal(err)
	}
	<-entered
	cfg.Listeners = []broker.Listener{{URL: "mqtt://localhost:0"}}
	reload(t, b, cfg)
	close(leave)
	expect(t, c, "", "\x20\x02\x00\x03")
	ended(t, c)
}
