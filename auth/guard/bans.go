package guard

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"sort"
	"strings"
)

// Kind is what a ban is about.
type Kind uint8

// The kinds of bans.
const (
	Network  Kind = 1 + iota // addresses, one or many
	ClientID                 // a client identifier
	User                     // a user name
)

func (k Kind) String() string {
	switch k {
	case Network:
		return "network"
	case ClientID:
		return "client"
	case User:
		return "user"
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// Ban keeps somebody out.
type Ban struct {
	Kind    Kind
	Network netip.Prefix // with Kind Network
	Name    string       // else
	Until   int64        // 0: for ever
	Why     string       // for the log and for whoever reads the list
}

// String says whom and why.
func (b *Ban) String() string {
	who := fmt.Sprintf("%s %.80s", b.Kind, written(b.Name))
	if b.Kind == Network {
		who = b.Network.String()
	}
	if b.Why == "" {
		return who + " is banned"
	}
	return fmt.Sprintf("%s is banned: %.200s", who, b.Why)
}

// Bounds of a list of bans.
const (
	bansMax    = 100_000
	nameMax    = 65535
	whyMax     = 1024
	ipv6Length = 128
)

// subject is what a ban is found by.
type subject struct {
	kind    Kind
	network netip.Prefix
	name    string
}

// Bans is a list of bans. Its zero value is empty. Looking at it changes nothing, so
// that many may at once, as long as nobody adds or removes.
type Bans struct {
	all map[subject]*Ban
	// of counts the networks of each length, so that a look-up tries only
	// lengths that there are; IPv4 first.
	of [2][ipv6Length + 1]int
}

// Add puts a ban on the list, in the place of one about the same.
func (b *Bans) Add(now int64, ban Ban) error {
	key, err := ban.subject()
	if err != nil {
		return fmt.Errorf("ban: %w", err)
	}
	if b.all == nil {
		b.all = map[subject]*Ban{}
	}
	if b.all[key] == nil && len(b.all) >= bansMax {
		if b.purge(now); len(b.all) >= bansMax {
			return fmt.Errorf("ban: %d are on the list already; ban networks instead of addresses", len(b.all))
		}
	}
	b.remove(key)
	if ban.Kind == Network {
		ban.Network = key.network
		b.of[family(key.network)][key.network.Bits()]++
	}
	b.all[key] = &ban
	return nil
}

// subject checks a ban; networks are brought into one form.
func (b *Ban) subject() (subject, error) {
	switch {
	case len(b.Why) > whyMax:
		return subject{}, fmt.Errorf("a reason of %d bytes, more than %d", len(b.Why), whyMax)
	case b.Kind == Network && b.Network.IsValid():
		n := b.Network
		if n.Addr().Is4In6() {
			if n.Bits() < 96 {
				return subject{}, fmt.Errorf("network %s: write an IPv4 network as such", n)
			}
			n = netip.PrefixFrom(n.Addr().Unmap(), n.Bits()-96)
		}
		return subject{kind: Network, network: n.Masked()}, nil
	case b.Kind == Network:
		return subject{}, errors.New("no network; write an address or a network, as 192.0.2.0/24")
	case b.Kind != ClientID && b.Kind != User:
		return subject{}, fmt.Errorf("%s is not known", b.Kind)
	case b.Name == "" || len(b.Name) > nameMax:
		return subject{}, fmt.Errorf("a %s name of %d bytes: 1 to %d", b.Kind, len(b.Name), nameMax)
	}
	return subject{kind: b.Kind, name: b.Name}, nil
}

func family(n netip.Prefix) int {
	if n.Addr().Is4() {
		return 0
	}
	return 1
}

// Remove takes a ban off the list and says whether it was there. Only what the
// ban is about counts.
func (b *Bans) Remove(ban Ban) bool {
	key, err := ban.subject()
	return err == nil && b.remove(key)
}

func (b *Bans) remove(key subject) bool {
	if b.all[key] == nil {
		return false
	}
	delete(b.all, key)
	if key.kind == Network {
		b.of[family(key.network)][key.network.Bits()]--
	}
	return true
}

// purge drops what is over.
func (b *Bans) purge(now int64) {
	for key, ban := range b.all {
		if ban.over(now) {
			b.remove(key)
		}
	}
}

func (b *Ban) over(now int64) bool { return b.Until != 0 && b.Until <= now }

// FindAddress finds a ban of an address, as soon as it connects; nil: none.
func (b *Bans) FindAddress(now int64, addr netip.Addr) *Ban {
	addr = addr.Unmap().WithZone("")
	if !addr.IsValid() || len(b.all) == 0 {
		return nil
	}
	lengths := &b.of[1]
	if addr.Is4() {
		lengths = &b.of[0]
	}
	for bits := addr.BitLen(); bits >= 0; bits-- {
		if lengths[bits] == 0 {
			continue
		}
		network, err := addr.Prefix(bits)
		if err != nil {
			continue
		}
		if ban := b.find(now, subject{kind: Network, network: network}); ban != nil {
			return ban
		}
	}
	return nil
}

// FindName finds a ban of a client identifier or user name; nil: none.
func (b *Bans) FindName(now int64, kind Kind, name string) *Ban {
	if len(b.all) == 0 {
		return nil
	}
	return b.find(now, subject{kind: kind, name: name})
}

func (b *Bans) find(now int64, key subject) *Ban {
	if ban := b.all[key]; ban != nil && !ban.over(now) {
		return ban
	}
	return nil
}

// List returns the bans that hold, by kind and name.
func (b *Bans) List(now int64) (list []Ban) {
	for _, ban := range b.all {
		if !ban.over(now) {
			list = append(list, *ban)
		}
	}
	sort.Slice(list, func(i, j int) bool {
		x, y := &list[i], &list[j]
		return cmp.Or(cmp.Compare(x.Kind, y.Kind), x.Network.Addr().Compare(y.Network.Addr()),
			cmp.Compare(x.Network.Bits(), y.Network.Bits()), strings.Compare(x.Name, y.Name)) < 0
	})
	return list
}
