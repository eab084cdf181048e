package router_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/loopmq/loopmq/router"
)

// TestUnwelcomeIsNamed: who is not let in before anybody looks at what it is called is
// named in the log all the same, by the beginning of its identifier.
func TestUnwelcomeIsNamed(t *testing.T) {
	w := newWorld(t, router.Limits{})
	w.listener.Versions = []byte{4}
	id := "gateway-1" + strings.Repeat("x", 100)
	c := w.dial()
	c.send(frame5(t, "10", fmt.Sprintf("0004 'MQTT' 05 02 0000 00 %04x '%s'", len(id), id)))
	w.settle()
	if got := w.lastEvent(router.EventRefuse).ClientID; got != id[:64] {
		t.Errorf("refused is %q, want %q", got, id[:64])
	}
}
