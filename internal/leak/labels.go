package leak

import (
	"bytes"
	"context"
	"fmt"
	"regexp"
	"runtime/pprof"
	"strconv"
	"sync"
	"testing"
	"time"
)

// table: tests that are looked after already; of the process, as their goroutines are.
var watched sync.Map

// Test has t fail if a goroutine that it starts from now on, or that those start, is still there when all else that t
// clears up is done. Tests may run side by side: goroutines inherit the labels of who starts them.
func Test(t testing.TB) {
	t.Helper()
	TestFor(t, patience)
}

// TestFor is Test with another patience.
func TestFor(t testing.TB, patience time.Duration) {
	t.Helper()
	name := t.Name()
	if _, again := watched.LoadOrStore(t, true); again {
		return
	}
	pprof.SetGoroutineLabels(pprof.WithLabels(context.Background(), pprof.Labels("test", name)))
	t.Cleanup(func() {
		watched.Delete(t)
		for deadline := time.Now().Add(patience); !t.Failed(); time.Sleep(time.Millisecond) {
			left, stacks := labelled(name)
			if left <= 1 { // this one
				return
			}
			if time.Now().After(deadline) {
				t.Errorf("%d goroutines that the test has started are left:\n%s", left-1, stacks)
			}
		}
	})
}

// labelled counts the goroutines of a test, and tells where they are.
func labelled(name string) (n int, stacks []byte) {
	var all bytes.Buffer
	_ = pprof.Lookup("goroutine").WriteTo(&all, 1) // a buffer takes everything
	label := fmt.Appendf(nil, "%q:%q", "test", name)
	for group := range bytes.SplitSeq(all.Bytes(), []byte("\n\n")) {
		if !bytes.Contains(group, label) {
			continue
		}
		if m := head.FindSubmatch(group); m != nil {
			k, _ := strconv.Atoi(string(m[1]))
			n += k
		}
		stacks = append(append(stacks, group...), "\n\n"...)
	}
	return n, stacks
}

// table: head begins what is said of some goroutines with one stack.
var head = regexp.MustCompile(`(?m)^(\d+) @`)
