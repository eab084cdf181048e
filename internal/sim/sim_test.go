package sim_test

import (
	"bufio"
	"bytes"
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/loopmq/loopmq/internal/sim"
)

// The seeds that TestSeeds runs; make sim sets them.
var (
	flagSeeds = flag.Int("seeds", 200, "number of fresh seeds")
	flagSeed  = flag.Uint64("seed", 0, "first of the fresh seeds; 0: from the clock")
	flagPlan  = flag.String("plan", "", "the only kind of plan that is run; empty: all are")
)

// TestMain refuses flags with which nothing would be run and all would pass.
func TestMain(m *testing.M) {
	flag.Parse()
	if err := flagsRun(*flagSeeds, *flagPlan); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	os.Exit(m.Run())
}

// flagsRun says why these flags run nothing; nil: they do.
func flagsRun(seeds int, plan string) error {
	if seeds < 1 {
		return fmt.Errorf("-seeds %d (SEEDS) runs nothing: 1 is the least", seeds)
	}
	var names []string
	for _, k := range kinds {
		if plan == "" || plan == k.name {
			return nil
		}
		names = append(names, k.name)
	}
	return fmt.Errorf("-plan %q (PLAN) is none of %s", plan, strings.Join(names, ", "))
}

func TestFlagsThatRunNothing(t *testing.T) {
	for _, c := range []struct {
		seeds int
		plan  string
		want  string
	}{
		{1, "", ""},
		{1, "disk", ""},
		{0, "", "-seeds 0 (SEEDS) runs nothing: 1 is the least"},
		{-1, "", "-seeds -1 (SEEDS) runs nothing: 1 is the least"},
		{1, "disc", `-plan "disc" (PLAN) is none of memory, durable, classed, disk`},
	} {
		got := ""
		if err := flagsRun(c.seeds, c.plan); err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%d seeds, plan %q: %q, want %q", c.seeds, c.plan, got, c.want)
		}
	}
}

// kinds are the plans that a seed draws.
var kinds = []struct { // table
	name string
	draw func(seed uint64) *sim.Plan
}{
	{"memory", sim.Draw},
	{"durable", sim.DrawDurable},
	{"classed", sim.DrawClassed},
	{"disk", sim.DrawDisk},
}

// explain fails the test with the smallest plan that fails like p, and how to
// see it again.
func explain(t *testing.T, p *sim.Plan, err error) {
	t.Helper()
	small := sim.Shrink(p)
	t.Errorf("seed %d: %.500v\nreproduce: make sim SEEDS=1 SEED=%d\nshrunk to %d of %d operations:\n%s",
		p.Seed, err, p.Seed, len(small.Ops), len(p.Ops), sim.Transcript(small))
}

func runSeeds(t *testing.T, from uint64, n int) {
	t.Helper()
	for seed := from; seed < from+uint64(n) && !t.Failed(); seed++ {
		for _, k := range kinds {
			if t.Failed() || *flagPlan != "" && *flagPlan != k.name {
				continue
			}
			p := k.draw(seed)
			if r := sim.Run(p, nil); r.Err != nil {
				t.Logf("plan %q", k.name)
				explain(t, p, r.Err)
			}
		}
	}
}

// TestFixedSeeds runs the same seeds every time.
func TestFixedSeeds(t *testing.T) { runSeeds(t, 1, 200) }

// TestSeeds runs seeds that were not run before, or those that -seed and -seeds
// name.
func TestSeeds(t *testing.T) {
	from := *flagSeed
	if from == 0 {
		from = uint64(time.Now().UnixNano())
	}
	t.Logf("%d seeds from %d", *flagSeeds, from)
	began := time.Now()
	runSeeds(t, from, *flagSeeds)
	if each := time.Since(began) / time.Duration(*flagSeeds); each > 0 {
		t.Logf("%d seeds a minute", time.Minute/each)
	}
}

// TestPastFailures runs the seeds that have failed once.
func TestPastFailures(t *testing.T) {
	f, err := os.Open("testdata/seeds.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		text, _, _ := strings.Cut(lines.Text(), "#")
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		seed, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		runSeeds(t, seed, 1)
		for _, k := range kinds { // as it was drawn then
			p := k.draw(seed).Short()
			if r := sim.Run(p, nil); r.Err != nil {
				explain(t, p, r.Err)
			}
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
}

// TestSameSeedSameRun: a seed is all that a run depends on. Go's maps, which
// have another order each time, would show here.
func TestSameSeedSameRun(t *testing.T) {
	for seed := range uint64(80) {
		p := kinds[seed%4].draw(seed / 4)
		a, b := sim.Run(p, nil), sim.Run(p, nil)
		if a.Digest != b.Digest || a.Passes != b.Passes {
			t.Fatalf("seed %d: digest %x in %d passes, then %x in %d", seed, a.Digest, a.Passes, b.Digest, b.Passes)
		}
	}
	p := sim.Draw(7)
	if a, b := sim.Transcript(p), sim.Transcript(p); a != b || len(a) < 1000 {
		t.Fatalf("two transcripts of seed 7 differ, or are empty (%d bytes)", len(a))
	}
	if sim.Run(p, nil).Digest == sim.Run(sim.Draw(8), nil).Digest {
		t.Fatal("seeds 7 and 8 have the same digest")
	}
}

func FuzzSession(f *testing.F) {
	for seed := range uint64(12) { // short ones: the fuzzer minimises what it likes byte by byte
		f.Add(sim.Draw(seed).Bytes()[:8+6*25])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		p := sim.PlanOf(b)
		if r := sim.Run(p, nil); r.Err != nil {
			explain(t, p, r.Err)
		}
	})
}

func TestPlanSurvivesBytes(t *testing.T) {
	p := sim.Draw(3)
	if q := sim.PlanOf(p.Bytes()); !bytes.Equal(q.Bytes()[8:], p.Bytes()[8:min(len(p.Bytes()), 8+6*200)]) {
		t.Fatal("a plan and its bytes do not agree")
	}
}
