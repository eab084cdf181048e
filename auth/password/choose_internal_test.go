package password

import (
	"strings"
	"testing"
)

// TestWhatAnUnknownUserCosts: what most users cost, and in a new file what a new
// password will.
func TestWhatAnUnknownUserCosts(t *testing.T) {
	key := strings.Repeat("A", 86)
	text := "a:$7$101$c2FsdA$" + key + "\nb:$7$1000$c2FsdA$" + key + "\nc:$7$1000$c2FsdA$" + key + "\n"
	f, err := Parse("users", strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	if got := f.unknown.params; got != (Params{Kind: PBKDF2SHA512, Iterations: 1000}) {
		t.Errorf("of most: %+v", got)
	}
	f.Delete("b")
	f.Delete("c")
	if got := f.unknown.params; got != (Params{Kind: PBKDF2SHA512, Iterations: 101}) {
		t.Errorf("of the one that is left: %+v", got)
	}
	f.Delete("a")
	if got := f.unknown.params; got != (Params{Kind: Argon2id, Memory: 19456, Time: 2, Threads: 1}) {
		t.Errorf("of none: %+v", got)
	}
}
