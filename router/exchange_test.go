package router_test

import (
	"strings"
	"testing"

	"github.com/loopmq/loopmq/router"
)

// TestIdentifyWithAssignedIdentifier: who leaves the client identifier to the broker is
// judged by the one that he is given, after an exchange too.
func TestIdentifyWithAssignedIdentifier(t *testing.T) {
	var asked []string
	w := newWorldOf(t, router.Config{
		AuthMethods: map[string]func() router.Exchange{"R": func() router.Exchange { return new(riddle) }},
		Identify: func(user, clientID string, _ router.Peer) router.Verdict {
			asked = append(asked, user+" "+clientID)
			return router.Verdict{Identity: &router.Identity{User: user}}
		},
	})
	c := w.connect5("", true, "15 0001 'R' 17 00")
	c.expect(frame5(t, "f0", "18"+hex5(t, "15 0001 'R' 16 0004 '2+2?'")))
	c.send(frame5(t, "f0", "18"+hex5(t, "15 0001 'R' 16 0001 '4'")))
	answer := string(c.take())
	if len(asked) != 1 || !strings.HasPrefix(asked[0], "someone auto-") {
		t.Fatalf("asked %q", asked)
	}
	id := strings.TrimPrefix(asked[0], "someone ")
	if !strings.Contains(answer, "\x12\x00"+string(rune(len(id)))+id) { // Assigned Client Identifier
		t.Errorf("%q was judged, CONNACK % x", id, answer)
	}
}
