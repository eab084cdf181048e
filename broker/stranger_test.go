package broker_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/loopmq/loopmq/auth"
	"github.com/loopmq/loopmq/auth/guard"
	"github.com/loopmq/loopmq/broker"
)

// Who is taken out of the users of his listener goes, though another listener has a
// user of that name; who came through that one stays.
func TestUserRemovedFromOneListener(t *testing.T) {
	both, others := mosquittoPasswd(t, "alice", "a", "bob", "b"), mosquittoPasswd(t, "bob", "other")
	cfg := broker.Config{Listeners: []broker.Listener{
		{URL: "mqtt://127.0.0.1:0", PasswordFile: both}, {URL: "mqtt://127.0.0.2:0", PasswordFile: others},
	}}
	b := start(t, cfg)
	alice, bob, other := dial(t, b, 0), dial(t, b, 0), dial(t, b, 1)
	expect(t, alice, login("a", "alice", "a"), connack3)
	expect(t, bob, login("b", "bob", "b"), connack3)
	expect(t, other, login("o", "bob", "other"), connack3)
	cfg.Listeners = []broker.Listener{cfg.Listeners[1], cfg.Listeners[0]}
	cfg.Listeners[1].PasswordFile = mosquittoPasswd(t, "alice", "a")
	reload(t, b, cfg)
	ended(t, bob)
	expect(t, alice, "\xc0\x00", "\xd0\x00")
	expect(t, other, "\xc0\x00", "\xd0\x00")
	cfg.Listeners = cfg.Listeners[1:] // bob has nowhere to log in any more
	reload(t, b, cfg)
	ended(t, other)
	expect(t, alice, "\xc0\x00", "\xd0\x00")
}

// A user who is taken out of the file while his password is being looked at, right as
// it was, is not let in, nor is the password remembered.
func TestUserRemovedDuringALogin(t *testing.T) {
	entered, leave := make(chan struct{}, 1), make(chan struct{})
	first := &backend{check: func(ctx context.Context, r *auth.Request) (auth.Answer, error) {
		if r.ClientID == "a" {
			entered <- struct{}{}
			select {
			case <-leave:
			case <-ctx.Done():
			}
		}
		return auth.Answer{}, nil
	}}
	cfg := broker.Config{
		Ways: []string{"backends", "password"}, Backends: []auth.Backend{first},
		PasswordFile: mosquittoPasswd(t, "alice", "a", "bob", "b"),
	}
	b := start(t, cfg)
	c := dial(t, b, 0)
	if _, err := io.WriteString(c, login("a", "alice", "a")); err != nil {
		t.Fatal(err)
	}
	<-entered
	cfg.Backends, cfg.PasswordFile = nil, mosquittoPasswd(t, "bob", "b")
	cfg.Listeners = []broker.Listener{{URL: "mqtt://127.0.0.1:0"}}
	reload(t, b, cfg)
	close(leave)
	expect(t, c, "", "\x20\x02\x00\x04")
	ended(t, c)
	refused(t, b, login("x", "alice", "a"), 4)
	expect(t, dial(t, b, 0), login("b", "bob", "b"), connack3)
}

// What the hashes of a password file cannot judge is left to the next backend where
// the file does not know the user: tokens are longer than bcrypt sees.
func TestLongPasswordBehindAFileWithBcrypt(t *testing.T) {
	token := strings.Repeat("t", 100)
	next := &backend{check: func(_ context.Context, r *auth.Request) (auth.Answer, error) {
		if string(r.Password) == token {
			return auth.Answer{Decision: auth.Allow}, nil
		}
		return auth.Answer{}, nil
	}}
	// Whose password is of no matter.
	const alice = "alice:$2b$04$J3oKQfRyaIZy4xA5a1ZGCOPv0Bp/Sx8q1Kj9c6GCAZpM0eZkdPGLa\n"
	b := start(t, broker.Config{Backends: []auth.Backend{next}, PasswordFile: file(t, "users", alice)})
	expect(t, dial(t, b, 0), login("d", "device", token), connack3)
	refused(t, b, login("a", "alice", token), 4)
	refused(t, b, login("d", "device", token+"t"), 4)
}

// A backend that cannot judge a login has not found it wrong, and what it has found
// right is not remembered: it is asked again.
func TestBackendsAreAskedEachTime(t *testing.T) {
	asked := &backend{check: func(_ context.Context, r *auth.Request) (auth.Answer, error) {
		if string(r.Password) == "later" {
			return auth.Answer{}, errors.New("not now")
		}
		return auth.Answer{Decision: auth.Allow}, nil
	}}
	b := start(t, broker.Config{
		Backends: []auth.Backend{asked}, Guard: guard.Config{AddressBurst: 1, UserBurst: 1, FirstDelay: time.Hour},
	})
	for range 5 {
		refused(t, b, login("a", "alice", "later"), 3)
	}
	for range 2 {
		expect(t, dial(t, b, 0), login("a", "alice", "right"), connack3)
	}
	if n := asked.calls.Load(); n != 7 {
		t.Errorf("asked %d times, want 7", n)
	}
}

// A user who is banned is kept out also where the backend, not CONNECT, says who he is.
func TestBanOfTheNameThatABackendTells(t *testing.T) {
	named := &backend{check: func(_ context.Context, r *auth.Request) (auth.Answer, error) {
		return auth.Answer{Decision: auth.Allow, User: string(r.Password)}, nil
	}}
	b := start(t, broker.Config{Backends: []auth.Backend{named}, Bans: []guard.Ban{{Kind: guard.User, Name: "mallory"}}})
	refused(t, b, login("m", "token", "mallory"), 5)
	expect(t, dial(t, b, 0), login("a", "token", "alice"), connack3)
}
