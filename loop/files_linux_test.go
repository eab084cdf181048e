package loop

import (
	"os"
	"regexp"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/loopmq/loopmq/internal/testkit"
)

// The table of descriptors grows when half of it is in use, not when somebody finds it full.
func TestDescriptorTableGrowsAhead(t *testing.T) {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	var f files
	f.open(limit.Cur)
	if got := tableSize(t); got < filesAtOpen {
		t.Fatalf("the table has room for %d descriptors, want %d", got, filesAtOpen)
	}
	f.room = tableSize(t)
	was := f.room
	if was >= f.most {
		t.Skipf("the table has room for %d descriptors, and %d are allowed: it cannot grow", was, f.most)
	}
	f.most = min(f.most, 3*was/2) // the table is a power of two all the same
	if f.came(was/2 - 1); f.room != was {
		t.Errorf("room for %d descriptors before half of %d are in use", f.room, was)
	}
	f.came(was / 2)
	testkit.Until(t, "the table is twice as large", func() bool { return tableSize(t) >= 2*was })
	if f.room != 2*was {
		t.Errorf("known to have room for %d descriptors, want %d", f.room, 2*was)
	}
}

// tableSize is how many descriptors this process's table has room for, see proc_pid_status(5).
func tableSize(t *testing.T) int {
	t.Helper()
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`FDSize:\s+(\d+)`).FindSubmatch(b)
	if found == nil {
		t.Fatalf("no FDSize in %s", b)
	}
	n, err := strconv.Atoi(string(found[1]))
	if err != nil {
		t.Fatal(err)
	}
	return n
}
