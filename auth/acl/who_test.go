package acl_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/loopmq/loopmq/auth/acl"
)

// TestWhoIsMeant: a name that nobody has checked is none, also as a further condition;
// a zone does not take an address out of its network; and of %% only the second may
// begin a %u.
func TestWhoIsMeant(t *testing.T) {
	r := parse(t, "role ops = amy\nclient c\nand user amy\nallow publish a\nclient c\nand role ops\nallow publish b\n"+
		"address fe80::/10\nallow publish z\neveryone\nallow publish x%%u\nallow publish y%zu/%u\n")
	unchecked := acl.Who{User: "amy", ClientID: "c"}
	check(t, r, []ask{
		{user("amy", "c"), "publish", "a", 4},
		{user("amy", "c"), "publish", "b", 7},
		{unchecked, "publish", "a", 0},
		{unchecked, "publish", "b", 0},
		{acl.Who{ClientID: "d", Addr: netip.MustParseAddr("fe80::1%eth0")}, "publish", "z", 9},
		{acl.Who{ClientID: "d", Addr: netip.MustParseAddr("fec0::1%eth0")}, "publish", "z", 0},
		{user("amy", "c"), "publish", "x%amy", 11},
		{user("amy", "c"), "publish", "x%%u", 0},
		{user("amy", "c"), "publish", "y%zu/amy", 12},
	})
}

// TestListsOfALongFile: rules are told apart by all of their line's number.
func TestListsOfALongFile(t *testing.T) {
	for _, apart := range []int{1 << 8, 1 << 16} {
		r := parse(t, "user amy\ntopic a\n"+strings.Repeat("\n", apart-2)+"user bob\ntopic b\n")
		check(t, r, []ask{
			{user("amy", "c"), "publish", "a", 2},
			{user("bob", "c"), "publish", "a", 0},
			{user("bob", "c"), "publish", "b", 2 + apart},
		})
	}
}
