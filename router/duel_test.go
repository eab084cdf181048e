package router_test

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/loopmq/loopmq/router"
)

// duellists are the last one let in with an identifier, and one who waits for it.
func duellists(t *testing.T) (w *world, first, waits *fakeConn) {
	w = newWorld(t, router.Limits{TakeoversMax: 1})
	w.listener.Authenticator = users{"u": nil}
	w.as("u", "d", true).expect("20 02 00 00")
	first = w.as("u", "d", true)
	first.expect("20 02 00 00")
	waits = w.as("u", "d", true)
	waits.expect("")
	return w, first, waits
}

// TestStrangerInADuel: who waits in a duel when he would no longer be let in is
// refused at once; whoever else waits there is let in.
func TestStrangerInADuel(t *testing.T) {
	w, first, waits := duellists(t)
	stranger := func(from *router.Peer, id string) bool { return from.User() == "u" && id == "d" }
	w.pass(func() { w.r.CloseWhere(stranger) })
	waits.expect("20 02 00 05")
	waits.expectClosed()
	first.expectClosed()
	w.sleep(2)
	waits.expect("")

	w, _, waits = duellists(t)
	w.pass(func() { w.r.CloseWhere(func(*router.Peer, string) bool { return false }) })
	w.sleep(2)
	waits.expect("20 02 00 00")
}

// TestNewRulesInADuel: rules and quotas that come while somebody waits hold for
// him, too.
func TestNewRulesInADuel(t *testing.T) {
	w, _, waits := duellists(t)
	w.pass(func() {
		w.r.Regrant(func(old *router.Identity, _ string, _ router.Peer) *router.Identity {
			return &router.Identity{User: old.User, Access: &rules{publish: "no"}}
		})
		w.r.Requota(func(*router.Peer, string) router.Quota { return router.Quota{Subscriptions: 1} })
	})
	w.sleep(2)
	waits.expect("20 02 00 00")
	waits.send("30 06 0002 'no' 'xx' 82 06 0001 0001 '#' 00 82 06 0002 0001 't' 00")
	waits.expect("90 03 0001 00 90 03 0002 80")
	if n := w.r.Stats().Denied; n != 1 {
		t.Errorf("%d denials, want 1", n)
	}
}

// TestSlowDuel: two devices that wait before they connect again are told of as well,
// but not one whose own connection is taken for dead too late.
func TestSlowDuel(t *testing.T) {
	addrs := [...]netip.AddrPort{netip.MustParseAddrPort("10.0.0.1:1000"), netip.MustParseAddrPort("10.0.0.2:1000")}
	for _, two := range []bool{true, false} {
		w := newWorld(t, router.Limits{})
		var told []uint64
		for n := range 31 {
			if w.remote = addrs[0]; two {
				w.remote = addrs[n%2]
			}
			w.connect("d", true)
			for _, e := range w.events {
				if e.Kind == router.EventDuel {
					told = append(told, e.Count)
					if a, b := e.Peer.Addr(), e.Other.Addr(); a == b || e.ClientID != "d" {
						t.Errorf("%q: %s and %s", e.ClientID, a, b)
					}
				}
			}
			w.events = nil
			w.sleep(5)
		}
		if want := []uint64{10, 20, 30}; two && !slices.Equal(told, want) || !two && told != nil {
			t.Errorf("two addresses %v: told at takeovers %d, want %d if two", two, told, want)
		}
	}
}
