package guard_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/loopmq/loopmq/auth/guard"
)

func network(text string) guard.Ban {
	return guard.Ban{Kind: guard.Network, Network: netip.MustParsePrefix(text)}
}

func TestBans(t *testing.T) {
	var b guard.Bans
	if b.FindAddress(0, addr("192.0.2.1")) != nil || b.FindName(0, guard.User, "amy") != nil || b.List(0) != nil {
		t.Error("an empty list bans somebody")
	}
	for _, ban := range []guard.Ban{
		network("192.0.2.7/24"), // its network is meant
		network("203.0.113.5/32"),
		network("::ffff:198.51.100.0/120"),
		network("2001:db8::/32"),
		{Kind: guard.ClientID, Name: "c1", Until: 10, Why: "loud"},
		{Kind: guard.User, Name: "amy"},
	} {
		if err := b.Add(0, ban); err != nil {
			t.Fatal(err)
		}
	}
	for from, want := range map[string]string{
		"192.0.2.200":      "192.0.2.0/24",
		"192.0.3.1":        "",
		"::ffff:192.0.2.1": "192.0.2.0/24",
		"203.0.113.5":      "203.0.113.5/32",
		"203.0.113.6":      "",
		"198.51.100.9":     "198.51.100.0/24",
		"2001:db8:9::1%e":  "2001:db8::/32",
		"2001:db9::1":      "",
		"::":               "",
	} {
		got := ""
		if ban := b.FindAddress(5, addr(from)); ban != nil {
			got = ban.Network.String()
		}
		if got != want {
			t.Errorf("%s: %q, want %q", from, got, want)
		}
	}
	if b.FindAddress(0, netip.Addr{}) != nil {
		t.Error("a Unix socket is banned")
	}
	for _, row := range []struct {
		now  int64
		kind guard.Kind
		name string
		want bool
	}{
		{0, guard.ClientID, "c1", true},
		{9, guard.ClientID, "c1", true},
		{9, guard.User, "c1", false},
		{9, guard.ClientID, "C1", false},
		{1 << 60, guard.User, "amy", true},
		{9, guard.User, "", false},
	} {
		if got := b.FindName(row.now, row.kind, row.name); (got != nil) != row.want {
			t.Errorf("%+v: %v", row, got)
		}
	}
	list := fmt.Sprint(b.List(9))
	if n := len(b.List(9)); n != 6 || len(b.List(10)) != 5 {
		t.Errorf("%d on the list: %s", n, list)
	}
	for range 10 {
		if again := fmt.Sprint(b.List(9)); again != list {
			t.Errorf("the list has no order: %s, %s", list, again)
		}
	}
	if got := b.FindName(9, guard.ClientID, "c1").String(); got != "client c1 is banned: loud" {
		t.Error(got)
	}
	if b.FindName(10, guard.ClientID, "c1") != nil || b.FindName(9, guard.ClientID, "c1") == nil {
		t.Error("a ban does not end when it is over, or looking at it takes it away")
	}
	if !b.Remove(network("192.0.2.99/24")) || b.Remove(network("192.0.2.0/24")) || b.FindAddress(0, addr("192.0.2.1")) != nil {
		t.Error("the network is still banned")
	}
	if got := b.FindAddress(0, addr("2001:db8::1")).String(); got != "2001:db8::/32 is banned" {
		t.Error(got)
	}
}

func TestNarrowerBanOutlivesWider(t *testing.T) {
	var b guard.Bans
	wide, narrow := network("10.0.0.0/8"), network("10.1.0.0/16")
	wide.Until, narrow.Until = 100, 10
	for _, ban := range []guard.Ban{narrow, wide} {
		if err := b.Add(0, ban); err != nil {
			t.Fatal(err)
		}
	}
	if ban := b.FindAddress(50, addr("10.1.2.3")); ban == nil || ban.Network.Bits() != 8 {
		t.Errorf("%v", ban)
	}
	again := wide
	again.Until = 0
	if err := b.Add(50, again); err != nil || len(b.List(200)) != 1 || b.FindAddress(200, addr("10.9.9.9")) == nil {
		t.Errorf("the ban is not renewed: %v, %v", err, b.List(200))
	}
	if !b.Remove(wide) || b.FindAddress(200, addr("10.9.9.9")) != nil {
		t.Error("renewed bans count twice")
	}
}

func TestBansSayWhatIsWrong(t *testing.T) {
	var b guard.Bans
	for _, row := range []struct {
		ban  guard.Ban
		want string
	}{
		{guard.Ban{}, "kind 0 is not known"},
		{guard.Ban{Kind: guard.Network}, "no network; write an address"},
		{guard.Ban{Kind: guard.User}, "a user name of 0 bytes"},
		{guard.Ban{Kind: guard.ClientID, Name: strings.Repeat("a", 65536)}, "a client name of 65536 bytes"},
		{network("::ffff:0:0/95"), "write an IPv4 network as such"},
		{guard.Ban{Kind: guard.User, Name: "a", Why: strings.Repeat("a", 1025)}, "a reason of 1025 bytes"},
	} {
		if err := b.Add(0, row.ban); err == nil || !strings.HasPrefix(err.Error(), "ban: ") || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%v; want %s", err, row.want)
		}
	}
	for i := range 100_000 {
		ban := guard.Ban{Kind: guard.User, Name: fmt.Sprint(i)}
		if i == 7 {
			ban.Until = 10
		}
		if err := b.Add(0, ban); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Add(9, network("10.0.0.0/8")); err == nil || !strings.Contains(err.Error(), "100000 are on the list already") {
		t.Errorf("%v", err)
	}
	if err := b.Add(9, guard.Ban{Kind: guard.User, Name: "5"}); err != nil {
		t.Errorf("renewing: %v", err)
	}
	if err := b.Add(10, network("10.0.0.0/8")); err != nil {
		t.Errorf("one is over: %v", err)
	}
}
