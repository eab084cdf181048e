package broker_test

import (
	"slices"
	"testing"

	"github.com/loopmq/loopmq/broker"
)

// TestLosses: what a reload would take away, from whom.
func TestLosses(t *testing.T) {
	made := func(cfg broker.Config) *broker.Broker {
		t.Helper()
		b, err := broker.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	yes, no := true, false
	listeners := []broker.Listener{{URL: "mqtt://127.0.0.1:1"}, {URL: "mqtt://127.0.0.1:2"}}
	acl := file(t, "acl", "user alice\ntopic write a/#\n")
	open := broker.Config{Listeners: listeners, Anonymous: &yes, PasswordFile: mosquittoPasswd(t, "alice", "a", "bob", "b")}
	tight := broker.Config{Listeners: listeners, Anonymous: &no, PasswordFile: mosquittoPasswd(t, "alice", "a"), ACLFile: acl}
	if got := broker.Losses(made(open), made(open)); got != nil {
		t.Errorf("the same: %q", got)
	}
	got := broker.Losses(made(open), made(tight))
	want := []string{
		`user "bob": can no longer log in with a password, and is disconnected`,
		"clients without a user name: are no longer let in, and disconnected",
		`user "alice": may no longer publish to #: no rule allows it any more`,
		`user "alice": may no longer receive #: no rule allows it any more`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}
