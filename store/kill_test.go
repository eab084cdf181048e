package store

import (
	"bufio"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"github.com/loopmq/loopmq/internal/leak"
)

const childDir = "LOOPMQ_STORE_TEST_DIR"

// TestMain is also the child of TestKill.
func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		child(dir)
	}
	os.Exit(leak.Main(m))
}

var killOptions = Options{SegmentBytes: 64 << 10} // table: small, so that segments are cleaned and used again

// counter is the record that says which batch was the last.
const counter Key = 0

// step applies batch n, which follows from n alone, to a store and to a model.
func step(n uint64, put func(k Key, v string), remove func(k Key), removeRange func(first, last Key)) {
	rng := rand.New(rand.NewPCG(n, 10))
	for range 1 + rng.IntN(20) {
		k := KeyOf(1, rng.Uint64N(300))
		if rng.IntN(15) == 0 {
			removeRange(k, k+Key(rng.IntN(20)))
			continue
		}
		if rng.IntN(3) == 0 {
			remove(k)
		} else {
			put(k, fmt.Sprintf("%d %0*d", n, 1+rng.IntN(200), 0))
		}
	}
	put(counter, strconv.FormatUint(n, 10))
}

func modelAt(n uint64) map[Key]string {
	m := map[Key]string{}
	for i := uint64(1); i <= n; i++ {
		step(i, func(k Key, v string) { m[k] = v }, func(k Key) { delete(m, k) }, func(first, last Key) {
			maps.DeleteFunc(m, func(k Key, _ string) bool { return first <= k && k <= last })
		})
	}
	return m
}

// child commits batch after batch, and prints the number of each that is
// acknowledged, until it is killed.
func child(dir string) {
	posts := make(chan func(), 100)
	o := killOptions
	o.Post = func(f func()) { posts <- f }
	s, err := Open(dir, o)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	last := uint64(0)
	if err := s.Load(func(k Key, _ int, v []byte) error {
		if k == counter {
			last, err = strconv.ParseUint(string(v), 10, 64)
		}
		return err
	}); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	for n := last + 1; ; n++ {
		step(n, func(k Key, v string) { s.Put(k, []byte(v), nil) }, func(k Key) { s.Delete(k) }, s.DeleteRange)
		answered := false
		s.Seal(func(err error) {
			answered = true
			if err != nil {
				fmt.Println(err)
				os.Exit(1)
			}
			os.Stdout.WriteString(strconv.FormatUint(n, 10) + "\n")
		})
		for !answered {
			(<-posts)()
		}
	}
}

// TestKill kills a process that commits, at random instants, again and again:
// what it acknowledged is there, and no batch is half there.
func TestKill(t *testing.T) {
	rounds := 30
	if testing.Short() {
		rounds = 8
	}
	dir := t.TempDir()
	rng := newRand(uint64(time.Now().UnixNano()), 11)
	total := uint64(0)
	for round := range rounds {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), childDir+"="+dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		// From the first acknowledgement on, so that it always gets somewhere.
		lines := bufio.NewScanner(out)
		acked := total
		for killing := false; lines.Scan(); {
			n, err := strconv.ParseUint(lines.Text(), 10, 64)
			if err != nil {
				t.Fatalf("round %d: the child says %q", round, lines.Text())
			}
			acked = n
			if !killing {
				killing = true
				time.AfterFunc(time.Duration(rng.IntN(20_000))*time.Microsecond, func() { cmd.Process.Kill() })
			}
		}
		_ = cmd.Wait() // killed, as it should be
		s, _ := open(t, dir, killOptions)
		got := loaded(t, s)
		s.Close()
		last, err := strconv.ParseUint(got[counter], 10, 64)
		if err != nil || last < acked || last > acked+1 {
			t.Fatalf("round %d: %d was acknowledged, %q is the last: %v", round, acked, got[counter], err)
		}
		if !maps.Equal(got, modelAt(last)) {
			t.Fatalf("round %d: the state after batch %d is not what was written", round, last)
		}
		total = last
	}
	t.Logf("%d batches in %d rounds", total, rounds)
}
