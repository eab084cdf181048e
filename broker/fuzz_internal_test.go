package broker

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/loopmq/loopmq/auth/acl"
	"github.com/loopmq/loopmq/router"
)

// FuzzImport: whatever a mosquitto.db has, a state directory is made of it that a router starts from without a
// contradiction, or nothing is made.
func FuzzImport(f *testing.F) {
	data, err := os.ReadFile(filepath.Join("mosquittodb", "testdata", "mosquitto-2.0.11.db"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add(bytes.ReplaceAll(data, []byte("\x00\x03"), []byte("\x00\x02")))
	f.Add(bytes.ReplaceAll(data, []byte("/"), []byte("#")))
	parent := f.TempDir()
	f.Fuzz(func(t *testing.T, data []byte) {
		dir := filepath.Join(parent, "state")
		defer os.RemoveAll(dir)
		found, err := ImportMosquitto(dir, data)
		if err != nil {
			if left, err := os.ReadDir(parent); err != nil || len(left) > 0 {
				t.Fatalf("left behind: %v, %v", left, err)
			}
			return
		}
		posts := make(chan func(), 1)
		s := newState(dir, StateOptions{}, func(f func()) { posts <- f })
		if err := s.open(); err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		r := router.New(router.Config{Rand: newRand(), Store: s, Wall: func() int64 { return time.Now().UnixNano() }})
		if _, err := r.Restore(1); err != nil {
			t.Fatal(err)
		}
		if err := r.CheckInvariants(); err != nil {
			t.Fatal(err)
		}
		if n := r.Stats(); n.Retained != found.Retained || n.Sessions != found.Sessions || n.Subscriptions != found.Subscriptions {
			t.Fatalf("%+v were imported, and there are %d, %d, %d", found, n.Retained, n.Sessions, n.Subscriptions)
		}
	})
}

// FuzzIdentity: whatever is kept of who wrote a message, it is somebody by the rules of today, whom writing it down again
// does not change. What cannot be read is nobody, who has no more rights than anybody.
func FuzzIdentity(f *testing.F) {
	for _, text := range []string{
		`{"user":"amy","named":true,"client":"c","addr":"10.0.0.1"}`, `{"user":"amy","named":true,"rules":"token","publish":["a/#"],"subscribe":[]}`,
		`{"listener":"mqtt","at":"127.0.0.1:1"}`, `{"user":"amy","named":true,"publish":[]}`, `{"user":1}`, `{"publish":["a/#/b","+"]}`, "", "null", "[",
	} {
		f.Add([]byte(text), "c", "a/b")
	}
	rules, err := acl.Parse("f", strings.NewReader("user amy\ntopic a/#\npattern read b/%c\n"))
	if err != nil {
		f.Fatal(err)
	}
	b := &Broker{rules: &ruleBook{rules: rules, none: emptyRules()}}
	f.Fuzz(func(t *testing.T, saved []byte, clientID, topic string) {
		if !utf8.ValidString(clientID) {
			return // no CONNECT can have it
		}
		id := b.loadIdentity(saved, clientID)
		again := b.saveIdentity(id)
		same := b.loadIdentity(again, clientID)
		if twice := b.saveIdentity(same); !bytes.Equal(again, twice) || id.User != same.User {
			t.Fatalf("%q is kept as %q, and then as %q", saved, again, twice)
		}
		for range 2 {
			if id.Access.MayPublish([]byte(topic)).Denied != same.Access.MayPublish([]byte(topic)).Denied ||
				id.Access.MaySubscribe([]byte(topic)).Denied != same.Access.MaySubscribe([]byte(topic)).Denied ||
				id.Access.MayReceive([]byte(topic)).Denied != same.Access.MayReceive([]byte(topic)).Denied {
				t.Fatalf("%q and %q have other rights", saved, again)
			}
		}
	})
}
