package acl_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/loopmq/loopmq/auth/acl"
)

// TestLost: what one file allows and the other does not, and by which line.
func TestLost(t *testing.T) {
	for _, c := range []struct {
		old, now string
		want     []string
	}{
		{"topic a/#\n", "topic a/#\n", nil},
		{"topic a/#\n", "topic #\n", nil},
		{"topic a/#\n", "topic read a/#\n", []string{"publish a/# by none"}},
		{"topic a/#\n", "topic a/#\ntopic deny a/b\n", []string{"publish a/b by acl:2: topic deny a/b", "subscribe a/b by acl:2: topic deny a/b"}},
		{"topic write a/+/c\n", "topic write a/#\ntopic deny a/b/#\n", []string{"publish a/b/c by acl:2: topic deny a/b/#"}},
		{"pattern write d/%c/#\n", "topic write d/x\n", []string{"publish d/%c/# by none"}},
		{"user amy\ntopic #\n", "topic #\n", nil}, // nothing about nobody in particular
		{"", "topic a\n", nil},
		{"everyone\nallow publish a/+\n", "everyone\ndeny publish a/b\nallow publish a/+\n", []string{"publish a/b by acl:2: deny publish a/b"}},
	} {
		var got []string
		for _, l := range acl.Lost(parse(t, c.old), parse(t, c.now), anonymous("%c")) {
			by := "none"
			if l.By != nil {
				by = l.By.String()
			}
			got = append(got, fmt.Sprintf("%s %s by %s", l.Action, l.Filter, by))
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("from %q to %q: lost %q, want %q", c.old, c.now, got, c.want)
		}
	}
	lost := acl.Lost(nil, parse(t, "topic read a\n"), anonymous("c"))
	if len(lost) == 0 || lost[0].Filter != "#" {
		t.Errorf("with rules where there were none: %v", lost)
	}
}

func TestUsersOfAFile(t *testing.T) {
	got := parse(t, "user bob\ntopic a\nrole ops = carol, amy\nuser dan\nallow all #\nrole ops\nallow all #\n").Users()
	if want := []string{"amy", "bob", "carol", "dan"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
