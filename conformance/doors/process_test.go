package doors

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/loopmq/loopmq/internal/testkit"
)

// output is all that a program prints that ends by itself, on both its outputs;
// fails says how it is to end.
func output(t testing.TB, fails bool, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(testkit.Program(t, name), args...).CombinedOutput()
	if (err != nil) != fails {
		t.Fatalf("%s %s: %v, failure expected: %v\n%s", name, strings.Join(args, " "), err, fails, out)
	}
	return string(out)
}

// contains expects texts, all of them, in what a program printed.
func contains(t testing.TB, text string, want ...string) {
	t.Helper()
	for _, w := range want {
		if !strings.Contains(text, w) {
			t.Errorf("%q is not in\n%s", w, text)
		}
	}
}
