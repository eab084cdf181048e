package soak

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/loopmq/loopmq/broker"
	"github.com/loopmq/loopmq/conformance/child"
	"github.com/loopmq/loopmq/internal/leak"
	"github.com/loopmq/loopmq/internal/testkit"
)

var (
	length = flag.Duration("for", 3*time.Second, "how long")
	out    = flag.String("out", "", "`folder` for soak.svg")
)

func TestMain(m *testing.M) {
	if !child.Asked() {
		os.Exit(leak.Main(m))
	}
	if err := child.Serve([]string{"mqtt://127.0.0.1:0", "ws://127.0.0.1:0/mqtt"}, broker.Limits{
		SlowTimeout: slowTimeout, SessionExpiry: sessionExpiry,
	}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// What the broker is told.
const (
	slowTimeout   = 3 * time.Second
	sessionExpiry = time.Minute
)

// sample is what was seen at a time.
type sample struct {
	at       time.Duration
	resident int64
	files    int
	held     child.Held
	trips    []time.Duration // of the witness since the last sample
}

// p is a quantile of the round trips, in ms.
func (s *sample) p(q float64) float64 {
	if len(s.trips) == 0 {
		return 0
	}
	return float64(s.trips[int(q*float64(len(s.trips)-1))].Microseconds()) / 1000
}

// TestSoak: what a broker without a state directory holds does not grow with the time.
func TestSoak(t *testing.T) { soak(t, child.Options{Listeners: 2}, "soak.svg", nil) }

// TestSoakState: neither does it with one, and what it has acknowledged outlives it, whatever its end.
func TestSoakState(t *testing.T) {
	soak(t, child.Options{Listeners: 2, StateDir: t.TempDir(), Addrs: testkit.FreeAddrs(t, 2)}, "soak-state.svg", []ending{
		{.3, syscall.SIGTERM}, {.5, syscall.SIGKILL},
	})
}

// ending is how the broker is ended, and when: a share of the time.
type ending struct {
	at float64
	by syscall.Signal
}

// soak has the crowd at a broker for as long as is asked for, and until it is seen what becomes of slow readers.
func soak(t *testing.T, o child.Options, plot string, endings []ending) {
	if _, err := os.Stat("/proc/self/fd"); err != nil {
		t.Skip("needs /proc")
	}
	s, err := child.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Stop(); err != nil {
			t.Errorf("broker: %v", err)
		}
	}()
	before, files := idle(t, s), s.Descriptors()
	c := gather(t, s.Addrs)
	var samples []sample
	tick := time.NewTicker(max(100*time.Millisecond, *length/400))
	defer tick.Stop()
	for start := time.Now(); time.Since(start) < *length || c.unproved() && time.Since(start) < *length+patience; {
		<-tick.C
		if len(endings) > 0 && time.Since(start).Seconds() > endings[0].at*length.Seconds() {
			if s, err = c.restart(s, endings[0].by); err != nil {
				c.stop()
				t.Fatal(err)
			}
			endings = endings[1:]
		}
		h, err := s.Ask(child.Brief)
		if err != nil {
			t.Fatal(err)
		}
		c.hear(h)
		samples = append(samples, sample{time.Since(start), s.Resident(), s.Descriptors(), h, c.trips()})
	}
	c.disperse()
	for i := range samples {
		slices.Sort(samples[i].trips)
	}
	report(t, samples, c)
	flat(t, samples, o)
	c.judge(t)
	end := idle(t, s)
	if n := s.Descriptors(); n > files+spareFiles(o) || end.Goroutines > before.Goroutines+spareGoroutines || end.Clients > 0 || s.Resident() == 0 {
		t.Errorf("left behind: %d descriptors, %d before; %d goroutines, %d before; %d clients", n, files, end.Goroutines, before.Goroutines, end.Clients)
	}
	t.Logf("at the end: resident %.1f MB, heap %.1f MB, %+v", mb(s.Resident()), mb(int64(end.HeapBytes)), end)
	if *out != "" {
		save(t, filepath.Join(*out, plot), draw(samples))
	}
}

// save writes the plot.
func save(t *testing.T, file string, svg []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, svg, 0o644); err != nil {
		t.Fatal(err)
	}
	t.Log("plot:", file)
}

// restart ends the broker and has another one take its place; until then nobody is to blame for a lost connection.
func (c *crowd) restart(s *child.Server, by syscall.Signal) (*child.Server, error) {
	c.generation.Add(1)
	begun := time.Now()
	next, err := s.Restart(by)
	if err != nil {
		return s, err
	}
	c.slowTimeouts.Store(0)
	c.generation.Add(1)
	c.t.Logf("ended by %v; back after %v", by, time.Since(begun).Round(time.Millisecond))
	return next, nil
}

// hear takes notice of what the broker says.
func (c *crowd) hear(h child.Held) {
	c.closedInAll += h.SlowTimeouts - c.slowTimeouts.Swap(h.SlowTimeouts)
	c.dropped = max(c.dropped, h.DroppedFull)
}

// unproved tells that no slow reader has been closed yet, or nothing dropped.
func (c *crowd) unproved() bool { return c.slowClosed.Load() == 0 || c.dropped == 0 }

// spareFiles is how many files a store may have opened meanwhile.
func spareFiles(o child.Options) int {
	if o.StateDir == "" {
		return 0
	}
	return 16
}

// spareGoroutines is how many the runtime may have started meanwhile.
const spareGoroutines = 4

// judge fails if there was nothing that could have failed.
func (c *crowd) judge(t *testing.T) {
	t.Helper()
	if c.published.Load() == 0 || c.received.Load() == 0 || c.tripped.Load() == 0 {
		t.Errorf("%d published, %d received, %d round trips: somebody did nothing", c.published.Load(), c.received.Load(), c.tripped.Load())
	}
	if c.unproved() {
		t.Errorf("%d slow readers were closed (reason 0x97), %d messages dropped because of slow readers; want both", c.slowClosed.Load(), c.dropped)
	}
	c.judgeSlow(t)
}

func mb(n int64) float64 { return float64(n) / 1e6 }

// part is the median of a figure in a part of the run, from and to in quarters.
func part(samples []sample, from, to int, of func(*sample) int64) int64 {
	var all []int64
	for i := range samples[len(samples)*from/4 : len(samples)*to/4] {
		all = append(all, of(&samples[len(samples)*from/4+i]))
	}
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	return all[len(all)/2]
}

// measures are what is held to be flat: the last quarter against the second, when all have come.
func measures() map[string]struct {
	of    func(*sample) int64
	slack int64
} {
	type m = struct {
		of    func(*sample) int64
		slack int64
	}
	return map[string]m{
		"resident bytes": {func(s *sample) int64 { return s.resident }, 32 << 20},
		"heap bytes":     {func(s *sample) int64 { return int64(s.held.HeapBytes) }, 16 << 20},
		"descriptors":    {func(s *sample) int64 { return int64(s.files) }, 64},
		"goroutines":     {func(s *sample) int64 { return int64(s.held.Goroutines) }, 16},
		"sessions":       {func(s *sample) int64 { return int64(s.held.Sessions) }, 200},
	}
}

// flat fails if something has grown by half and more than its slack. Where the broker is restarted, only the last one
// is looked at.
func flat(t *testing.T, samples []sample, o child.Options) {
	t.Helper()
	quarter := 1
	if o.StateDir != "" {
		quarter = 2
	}
	for name, m := range measures() {
		early, late := part(samples, quarter, quarter+1, m.of), part(samples, 3, 4, m.of)
		if late > early+early/2+m.slack {
			t.Errorf("%s grew from %d to %d", name, early, late)
		}
	}
}

// report prints the figures by quarters.
func report(t *testing.T, samples []sample, c *crowd) {
	t.Helper()
	for q := range 4 {
		var trips []time.Duration
		for _, s := range samples[len(samples)*q/4 : len(samples)*(q+1)/4] {
			trips = append(trips, s.trips...)
		}
		slices.Sort(trips)
		all := sample{trips: trips}
		get := func(name string) int64 { return part(samples, q, q+1, measures()[name].of) }
		t.Logf("quarter %d: resident %.1f MB, heap %.1f MB, %d descriptors, %d goroutines, %d sessions; "+
			"%d round trips, p50 %.2f ms, p99 %.2f ms, most %.1f ms", q+1, mb(get("resident bytes")), mb(get("heap bytes")),
			get("descriptors"), get("goroutines"), get("sessions"), len(trips), all.p(.5), all.p(.99), all.p(1))
	}
	t.Logf("%d connections made, %d messages published, %d received; %d slow readers were closed, "+
		"%d messages dropped because of slow readers", c.connects.Load(), c.published.Load(), c.received.Load(), c.slowClosed.Load(), c.dropped)
}

// idle waits until nobody is connected, and returns what is held then.
func idle(t *testing.T, s *child.Server) child.Held {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		h, err := s.Ask(child.Thorough)
		if err != nil {
			t.Fatal(err)
		}
		if h.Invariants != "" {
			t.Errorf("invariants: %s", h.Invariants)
		}
		if h.Conns == 0 {
			return h
		}
		if time.Now().After(end) {
			t.Errorf("%d connections are left", h.Conns)
			return h
		}
	}
}
