package guard

import (
	"cmp"
	"crypto/sha256"
	"net/netip"
	"slices"
	"time"
)

// Config says how patient to be. What is zero has a default.
type Config struct {
	// AddressBurst and UserBurst are the failed logins of an address, and of a
	// user name from wherever, that pass without a delay; 10. Below zero: no
	// limit of this kind.
	AddressBurst, UserBurst int
	// Refill is the time after which one failure is forgotten; 5 minutes. In
	// the long run nobody fails more often.
	Refill time.Duration
	// FirstDelay follows the first failure beyond the burst, each further one
	// doubles it, up to DelayMax; 1 second and 15 minutes.
	FirstDelay, DelayMax time.Duration
	// Exempt are networks whose addresses are not limited, such as those of
	// proxies; user names are, from there too.
	Exempt []netip.Prefix
	// EntriesMax bounds each of the tables of addresses, users, and pairs of
	// both that have been seen together; 65536, which is up to 10 MB each.
	EntriesMax int
}

const (
	defaultBurst      = 10
	defaultRefill     = 5 * time.Minute
	defaultFirstDelay = time.Second
	defaultDelayMax   = 15 * time.Minute
	defaultEntriesMax = 1 << 16

	// Beyond these the arithmetic would go round.
	burstMax = 10_000
	day      = 24 * time.Hour

	// knownFor is how long an address is remembered as one where a user is at
	// home.
	knownFor = 30 * day
	// checkingMax is halved by every failure: how many logins may be checked at
	// once. Else many at a time would get in more guesses than one by one.
	checkingMax = 32
	// beyondMax bounds how far failures beyond the burst are counted.
	beyondMax = 20
	// ipv6Bits are what one customer is given at least.
	ipv6Bits = 64
)

// Guard counts failed logins.
type Guard struct {
	config    Config
	addresses table[netip.Addr]
	users     table[digest]
	known     table[digest]
}

// digest stands for a name of any length, so that entries have one size.
type digest [16]byte

// New makes a Guard.
func New(c Config) *Guard {
	c.AddressBurst = min(cmp.Or(c.AddressBurst, defaultBurst), burstMax)
	c.UserBurst = min(cmp.Or(c.UserBurst, defaultBurst), burstMax)
	c.Refill = min(cmp.Or(max(c.Refill, 0), defaultRefill), day)
	c.DelayMax = min(cmp.Or(max(c.DelayMax, 0), defaultDelayMax), day)
	c.FirstDelay = min(cmp.Or(max(c.FirstDelay, 0), defaultFirstDelay), c.DelayMax)
	c.EntriesMax = cmp.Or(max(c.EntriesMax, 0), defaultEntriesMax)
	c.Exempt = slices.Clone(c.Exempt)
	return &Guard{c, newTable[netip.Addr](c.EntriesMax), newTable[digest](c.EntriesMax), newTable[digest](c.EntriesMax)}
}

// Attempt is one login between Begin and End.
type Attempt struct {
	address  netip.Addr // zero: not limited
	user     digest
	byUser   bool
	isKnown  bool
	counted  [2]bool // in the tables of addresses and of users
	finished bool
}

// Refusal says that a login is not even to be checked.
type Refusal struct {
	Wait time.Duration // after this it may be tried again
	By   string        // "address" or "user", for the log; not for the client
}

// Begin is asked before a password is checked. ok: check it, and call End with
// the outcome, also when the client has gone meanwhile. Otherwise answer as to
// a wrong password, or not at all; that is not counted as another failure.
//
// A user name is not limited where it has logged in before: who guesses at it
// elsewhere does not lock its owner out.
func (g *Guard) Begin(now int64, addr netip.Addr, user string) (a Attempt, r Refusal, ok bool) {
	a.address = g.subject(addr)
	a.user = digestOf(user)
	a.byUser = g.config.UserBurst >= 0
	// Where all clients have one address, or none, no user is at home.
	if p := g.known.get(a.pair()); p != nil && p.paidAt > now && a.address.IsValid() {
		a.isKnown = true
	}
	var address *entry[netip.Addr]
	var name *entry[digest]
	if a.address.IsValid() {
		address = g.addresses.get(a.address)
		if wait := refuses(g, address, now); wait > 0 {
			return Attempt{}, Refusal{wait, "address"}, false
		}
	}
	if a.byUser && !a.isKnown {
		name = g.users.get(a.user)
		if wait := refuses(g, name, now); wait > 0 {
			return Attempt{}, Refusal{wait, "user"}, false
		}
	}
	// Only who has failed is counted while being checked: one more row for
	// every login that goes well would be for nothing.
	if address != nil {
		address.checking++
		a.counted[0] = true
	}
	if name != nil {
		name.checking++
		a.counted[1] = true
	}
	return a, Refusal{}, true
}

// End tells how a login that Begin let through came out, once.
func (g *Guard) End(now int64, a *Attempt, good bool) {
	if a.finished {
		return
	}
	g.Abandon(a)
	if good {
		// Failures stay: one good account does not pay for guesses at others.
		if a.address.IsValid() {
			g.known.add(a.pair()).paidAt = now + int64(knownFor)
		}
		return
	}
	if a.address.IsValid() {
		fail(g, g.addresses.add(a.address), now, g.config.AddressBurst)
	}
	if a.byUser {
		fail(g, g.users.add(a.user), now, g.config.UserBurst)
	}
}

// Abandon is called instead of End when nobody could say whether the login was
// good.
func (g *Guard) Abandon(a *Attempt) {
	if a.finished {
		return
	}
	a.finished = true
	if a.counted[0] {
		g.addresses.get(a.address).checking--
	}
	if a.counted[1] {
		g.users.get(a.user).checking--
	}
}

// Failures are those of an address that are not yet forgotten.
func (g *Guard) Failures(now int64, addr netip.Addr) int {
	return failures(g, g.addresses.get(g.subject(addr)), now)
}

// Wait is an address whose logins are not looked at for some time.
type Wait struct {
	Addr netip.Addr // of IPv6 the network of 64 bits
	Left time.Duration
}

// waitsPiece is how many entries Waits looks at: 0.1 ms at most.
const waitsPiece = 2048

// Waits are those among some entries from at on, in no order. next is where to go
// on, 0 at the end: all at once would take too long.
func (g *Guard) Waits(now int64, at int) (list []Wait, next int) {
	entries := g.addresses.entries[min(at, len(g.addresses.entries)):]
	if len(entries) > waitsPiece {
		entries, next = entries[:waitsPiece], at+waitsPiece
	}
	for i := range entries {
		if e := &entries[i]; e.blockedUntil > now {
			list = append(list, Wait{e.key, time.Duration(e.blockedUntil - now)})
		}
	}
	return list, next
}

// Forgive forgets what an address and a user name have done; either may be
// zero.
func (g *Guard) Forgive(addr netip.Addr, user string) {
	if e := g.addresses.get(g.subject(addr)); e != nil {
		e.paidAt, e.blockedUntil = 0, 0
	}
	if e := g.users.get(digestOf(user)); e != nil {
		e.paidAt, e.blockedUntil = 0, 0
	}
}

// subject is what an address is counted under; none if it is exempt.
func (g *Guard) subject(addr netip.Addr) netip.Addr {
	addr = addr.Unmap().WithZone("")
	exempt := func(p netip.Prefix) bool { return p.Contains(addr) }
	if !addr.IsValid() || g.config.AddressBurst < 0 || slices.ContainsFunc(g.config.Exempt, exempt) {
		return netip.Addr{}
	}
	return HostNetwork(addr)
}

// HostNetwork is what an address is counted under where hosts are told apart: IPv4 as it is, IPv6 by network.
func HostNetwork(addr netip.Addr) netip.Addr {
	if addr = addr.Unmap(); !addr.Is6() {
		return addr
	}
	network, _ := addr.Prefix(ipv6Bits) // never an error with 64 bits of 128
	return network.Addr()
}

func (a *Attempt) pair() digest {
	b := a.address.As16()
	return digestOf(string(b[:]) + string(a.user[:]))
}

func digestOf(s string) digest {
	sum := sha256.Sum256([]byte(s))
	return digest(sum[:16])
}

// failures are what is not yet forgotten, a part of one counted whole.
func failures[K comparable](g *Guard, e *entry[K], now int64) int {
	if e == nil || e.paidAt <= now {
		return 0
	}
	refill := int64(g.config.Refill)
	return int((e.paidAt - now + refill - 1) / refill)
}

// refuses says for how long.
func refuses[K comparable](g *Guard, e *entry[K], now int64) time.Duration {
	if e == nil {
		return 0
	}
	if e.blockedUntil > now {
		return time.Duration(e.blockedUntil - now)
	}
	n := failures(g, e, now)
	if n > 0 && int(e.checking) >= max(1, checkingMax>>min(n, 8)) {
		return g.config.FirstDelay
	}
	return 0
}

// fail counts one failure and sets the delay that follows from all.
func fail[K comparable](g *Guard, e *entry[K], now int64, burst int) {
	if e == nil {
		return // every entry is being checked: that many at once are bounded elsewhere
	}
	refill := int64(g.config.Refill)
	e.paidAt = min(max(e.paidAt, now)+refill, now+int64(burst+beyondMax)*refill)
	beyond := failures(g, e, now) - burst
	if beyond <= 0 {
		return
	}
	delay := g.config.FirstDelay
	for ; beyond > 1 && delay < g.config.DelayMax; beyond-- {
		delay = min(2*delay, g.config.DelayMax)
	}
	e.blockedUntil = max(e.blockedUntil, now+int64(delay))
}
