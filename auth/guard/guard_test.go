package guard_test

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/loopmq/loopmq/auth/guard"
)

const second = int64(time.Second)

func addr(text string) netip.Addr { return netip.MustParseAddr(text) }

// login makes one attempt and says whether it was checked, and else how long
// to wait.
func login(g *guard.Guard, now int64, from, user string, good bool) (checked bool, wait time.Duration) {
	a, r, ok := g.Begin(now, addr(from), user)
	if ok {
		g.End(now, &a, good)
	}
	return ok, r.Wait
}

func small() guard.Config {
	return guard.Config{
		AddressBurst: 3, UserBurst: 5, Refill: 100 * time.Second,
		FirstDelay: time.Second, DelayMax: 10 * time.Second, EntriesMax: 100,
	}
}

// TestGrowingDelay fails again the moment it may.
func TestGrowingDelay(t *testing.T) {
	g := guard.New(small())
	now := int64(0)
	for i := range 3 {
		if ok, _ := login(g, now, "192.0.2.1", fmt.Sprint("u", i), false); !ok {
			t.Fatalf("failure %d is not let through", i)
		}
	}
	for i, want := range []time.Duration{0, 1, 2, 4, 8, 10, 10, 10} {
		ok, wait := login(g, now, "192.0.2.1", fmt.Sprint("v", i), false)
		if want == 0 {
			if !ok {
				t.Fatal("the burst is not over")
			}
			continue
		}
		if ok || wait != want*time.Second {
			t.Errorf("delay %d: %v, %v; want %d s", i, ok, wait, want)
		}
		// Asking again does not make it longer.
		if _, again := login(g, now+1, "192.0.2.1", "x", false); again != wait-1 {
			t.Errorf("delay %d: %v, then %v", i, wait, again)
		}
		now += int64(wait)
		if ok, wait := login(g, now, "192.0.2.1", fmt.Sprint("w", i), false); !ok {
			t.Fatalf("delay %d is over, and %v to wait", i, wait)
		}
	}
	if ok, _ := login(g, now, "192.0.2.2", "a", false); !ok {
		t.Error("another address has to wait")
	}
	// Time heals all.
	now += 40 * 100 * second
	if n := g.Failures(now, addr("192.0.2.1")); n != 0 {
		t.Errorf("%d failures are left", n)
	}
	if ok, _ := login(g, now, "192.0.2.1", "a", false); !ok || g.Failures(now, addr("192.0.2.1")) != 1 {
		t.Error("the address is not let in again")
	}
}

// TestGuessesInTheLongRun counts what a day of guessing brings.
func TestGuessesInTheLongRun(t *testing.T) {
	g := guard.New(guard.Config{})
	guesses := 0
	for now := int64(0); now < 24*3600*second; now += second {
		if ok, _ := login(g, now, "192.0.2.1", fmt.Sprint("u", now), false); ok {
			guesses++
		}
	}
	if guesses < 200 || guesses > 288+20 { // a day has 288 times 5 minutes; and the burst
		t.Errorf("%d guesses in a day", guesses)
	}
}

func TestOneUserFromEverywhere(t *testing.T) {
	g := guard.New(small())
	if ok, _ := login(g, 0, "198.51.100.1", "amy", true); !ok {
		t.Fatal("amy is not let in")
	}
	checked := 0
	for i := range 200 {
		if ok, _ := login(g, second, fmt.Sprintf("203.0.113.%d", i), "amy", false); ok {
			checked++
		}
	}
	if checked != 6 {
		t.Errorf("%d guesses at one user; want the burst and one", checked)
	}
	a, r, ok := g.Begin(second, addr("203.0.113.201"), "amy")
	if ok || r.By != "user" || r.Wait != time.Second {
		t.Errorf("%+v %+v %v", a, r, ok)
	}
	if ok, _ := login(g, second, "203.0.113.201", "bob", false); !ok {
		t.Error("bob has to wait for amy")
	}
	// Where amy has logged in before, she still can; after a month she cannot.
	if ok, _ := login(g, second, "198.51.100.1", "amy", true); !ok {
		t.Error("amy is locked out at home")
	}
	if ok, _ := login(g, second, "198.51.100.2", "amy", true); ok {
		t.Error("amy's name is not limited elsewhere")
	}
	later := 31 * 24 * 3600 * second
	for i := range 10 {
		login(g, later, fmt.Sprintf("203.0.113.%d", i), "amy", false)
	}
	if ok, _ := login(g, later, "198.51.100.1", "amy", true); ok {
		t.Error("amy is remembered for ever")
	}
}

// TestOneGoodAccountBuysNoGuesses: a success in between changes nothing.
func TestOneGoodAccountBuysNoGuesses(t *testing.T) {
	g := guard.New(small())
	checked := 0
	for i := range 100 {
		login(g, 0, "192.0.2.1", "eve", true)
		if ok, _ := login(g, 0, "192.0.2.1", fmt.Sprint("u", i), false); ok {
			checked++
		}
	}
	if checked != 4 {
		t.Errorf("%d guesses; want the burst and one", checked)
	}
}

// TestManyAtOnce: guesses that are all begun before the first is judged.
func TestManyAtOnce(t *testing.T) {
	g := guard.New(guard.Config{})
	login(g, 0, "192.0.2.1", "a", false)
	for round, want := range []int{16, 8, 4, 2, 1} {
		var open []guard.Attempt
		for i := range 100 {
			if a, r, ok := g.Begin(0, addr("192.0.2.1"), fmt.Sprint(round, "/", i)); ok {
				open = append(open, a)
			} else if r.Wait <= 0 || r.By != "address" {
				t.Fatalf("%+v", r)
			}
		}
		if len(open) != want {
			t.Errorf("%d failures: %d at once, want %d", round+1, len(open), want)
		}
		for i := range open {
			g.End(0, &open[i], i > 0)
			g.End(0, &open[i], false) // twice counts once
		}
		if n := g.Failures(0, addr("192.0.2.1")); n != round+2 {
			t.Fatalf("%d failures, want %d", n, round+2)
		}
	}
	// Who never failed may come as often as he likes: a whole site restarts.
	for i := range 1000 {
		if _, _, ok := g.Begin(0, addr("192.0.2.2"), fmt.Sprint("d", i)); !ok {
			t.Fatalf("login %d is refused", i)
		}
	}
}

func TestAddresses(t *testing.T) {
	c := small()
	c.UserBurst = -1
	c.Exempt = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	g := guard.New(c)
	for i := range 50 {
		login(g, 0, fmt.Sprintf("2001:db8::%x", i), "u", false)
		login(g, 0, "::ffff:192.0.2.1", "u", false)
		login(g, 0, "10.0.0.1", "u", false)
	}
	for from, want := range map[string]bool{
		"2001:db8::ffff":   false, // the same network
		"2001:db8:0:1::1":  true,
		"192.0.2.1":        false,
		"192.0.2.2":        true,
		"10.0.0.1":         true,
		"::ffff:10.0.0.1":  true,
		"fe80::1%eth0":     true,
		"2001:db8::1%eth0": false,
	} {
		if _, _, ok := g.Begin(0, addr(from), "v"); ok != want {
			t.Errorf("%s: %v", from, ok)
		}
	}
	a, _, ok := g.Begin(0, netip.Addr{}, "u") // a Unix socket
	if !ok {
		t.Error("what has no address is refused")
	}
	g.End(0, &a, false)
	g.Forgive(addr("192.0.2.1"), "")
	if _, _, ok := g.Begin(0, addr("192.0.2.1"), "v"); !ok {
		t.Error("the address is not forgiven")
	}
}

// TestExemptIsNoHome: behind a proxy a login does not lift the limit of a user
// for everybody else behind it.
func TestExemptIsNoHome(t *testing.T) {
	c := small()
	c.Exempt = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	g := guard.New(c)
	login(g, 0, "10.0.0.1", "amy", true)
	checked := 0
	for range 100 {
		if ok, _ := login(g, 0, "10.0.0.1", "amy", false); ok {
			checked++
		}
	}
	if checked != 6 {
		t.Errorf("%d guesses", checked)
	}
}

// TestFlood: a million addresses and names take no more room than allowed, and
// do not wash out the one that has failed often.
func TestFlood(t *testing.T) {
	c := small()
	g := guard.New(c)
	for range 4 {
		login(g, 0, "192.0.2.1", "amy", false)
	}
	for i := range 200_000 {
		a := netip.AddrFrom4([4]byte{100, byte(i >> 16), byte(i >> 8), byte(i)})
		at, _, ok := g.Begin(int64(i), a, fmt.Sprint("u", i))
		if !ok {
			t.Fatalf("login %d is refused", i)
		}
		g.End(int64(i), &at, false)
	}
	if n := g.Failures(200_000, addr("192.0.2.1")); n != 4 {
		t.Errorf("%d failures are remembered, want 4", n)
	}
	if addresses, users, known := g.Sizes(); addresses > 100 || users > 100 || known > 100 {
		t.Errorf("%d addresses, %d users, %d pairs", addresses, users, known)
	}
}

// TestExtremes: no configuration and no time makes the arithmetic go round.
func TestExtremes(t *testing.T) {
	for _, c := range []guard.Config{
		{AddressBurst: 1 << 30, Refill: 1 << 62, FirstDelay: 1 << 62, DelayMax: 1 << 62, EntriesMax: 1},
		{AddressBurst: 1, UserBurst: 1, Refill: 1, FirstDelay: 1, DelayMax: 1, EntriesMax: 1},
		{AddressBurst: -1, UserBurst: -1},
		{Refill: -1, FirstDelay: -1, DelayMax: -1, EntriesMax: -1},
	} {
		g := guard.New(c)
		for _, now := range []int64{0, 1, 1 << 40, 1 << 61} {
			for i := range 200 {
				_, wait := login(g, now, "192.0.2.1", "u", false)
				if wait < 0 || wait > 24*time.Hour {
					t.Fatalf("%+v, %d times at %d: wait %v", c, i, now, wait)
				}
			}
		}
	}
}

// TestWaits: who has to wait is told piece by piece, each of them once.
func TestWaits(t *testing.T) {
	g := guard.New(guard.Config{AddressBurst: 1, FirstDelay: time.Second, DelayMax: time.Minute})
	const all = 5000
	for i := range all {
		from := fmt.Sprintf("10.0.%d.%d", i/250, i%250)
		for range 1 + i%2 { // every second one fails once too often
			login(g, 0, from, fmt.Sprint(i), false)
		}
	}
	seen := map[netip.Addr]bool{}
	for at, done := 0, false; !done; done = at == 0 {
		before := at
		var list []guard.Wait
		if list, at = g.Waits(second/4, at); at != 0 && at-before > 2048 {
			t.Errorf("%d entries are looked at in one go", at-before)
		}
		for _, w := range list {
			if seen[w.Addr] || w.Left != 750*time.Millisecond {
				t.Errorf("%v, seen before: %v", w, seen[w.Addr])
			}
			seen[w.Addr] = true
		}
	}
	if len(seen) != all/2 || !seen[addr("10.0.0.1")] || seen[addr("10.0.0.2")] {
		t.Errorf("%d have to wait", len(seen))
	}
	if list, next := g.Waits(0, 1<<20); list != nil || next != 0 {
		t.Errorf("behind the end: %v, %d", list, next)
	}
}
