package acl

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"weak"
)

// TestCacheKeepsNobody: of a client that is gone the cache has a verdict at most,
// not all rules with its name in them.
func TestCacheKeepsNobody(t *testing.T) {
	rules, err := Parse("acl", strings.NewReader("pattern readwrite dev/%c/#\npattern read %u/#\n"))
	if err != nil {
		t.Fatal(err)
	}
	var lists []weak.Pointer[list]
	for i := range 100 {
		s := rules.For(Who{ClientID: fmt.Sprint("c", i)})
		if topic := fmt.Appendf(nil, "dev/c%d/x", i); !s.Publish(topic).Allowed || !s.Deliver(topic).Allowed {
			t.Fatalf("c%d may not", i)
		}
		token, err := rules.Listed("token", []string{"t"}, nil)
		if err != nil || !token.Publish([]byte("t")).Allowed {
			t.Fatalf("the token's list does not hold: %v", err)
		}
		lists = append(lists, weak.Make(s.publish), weak.Make(s.deliver), weak.Make(token.publish))
	}
	rules.For(Who{ClientID: "the last one is kept for who asks twice"})
	runtime.GC()
	kept := 0
	for _, l := range lists {
		if l.Value() != nil {
			kept++
		}
	}
	runtime.KeepAlive(rules)
	if kept != 0 {
		t.Errorf("%d of %d lists are kept", kept, len(lists))
	}
}

// TestSharedListsAreBounded: clients choose their identifiers, and with them which
// sections speak of them.
func TestSharedListsAreBounded(t *testing.T) {
	var text strings.Builder
	for c := 'a'; c <= 'p'; c++ {
		text.WriteString(fmt.Sprintf("client *%c*\nallow publish %c\n", c, c))
	}
	rules, err := Parse("acl", strings.NewReader(text.String()))
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 * listsMax {
		var id strings.Builder
		for c := range 16 {
			if i>>c&1 != 0 {
				id.WriteString(string(rune('a' + c)))
			}
		}
		if s := rules.For(Who{ClientID: id.String()}); s.Publish([]byte("a")).Allowed != (i&1 != 0) {
			t.Fatalf("%q may not do what is right", id.String())
		}
		if len(rules.lists) > listsMax {
			t.Fatalf("%d lists are kept", len(rules.lists))
		}
	}
}
