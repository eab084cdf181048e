package password_test

import (
	"strings"
	"testing"
	"time"

	"github.com/loopmq/loopmq/auth/password"
)

// TestNobodyLearnsByTheClock: an unknown user and a password that cannot be judged cost
// what a wrong password costs. Others who use the machine make a check longer only, so
// each has to last for a good part of the shortest one of a wrong password.
func TestNobodyLearnsByTheClock(t *testing.T) {
	for _, row := range []struct {
		p    password.Params
		long string // a password that cannot be judged
	}{
		{password.Params{Kind: password.PBKDF2SHA512, Iterations: 30_000}, "with\x00NUL"},
		{password.Params{Kind: password.Bcrypt, Cost: 7}, strings.Repeat("long", 20)},
	} {
		p := row.p
		hash, err := password.Hash([]byte("right"), p)
		if err != nil {
			t.Fatal(err)
		}
		f, err := password.Parse("users", strings.NewReader("amy:"+hash+"\nbob:"+hash+"\n"))
		if err != nil {
			t.Fatal(err)
		}
		took := func(user, text string) time.Duration {
			begun := time.Now()
			if ok, _ := f.Verify(user, []byte(text)); ok {
				t.Errorf("%s: %q is right for %s", p.Kind, text, user)
			}
			return time.Since(begun)
		}
		wrong := min(took("amy", "wrong"), took("bob", "wrong"))
		for _, try := range [][2]string{{"eve", "right"}, {"amy", row.long}, {"eve", row.long}} {
			if d := took(try[0], try[1]); d < wrong/4 {
				t.Errorf("%s: %q of %q takes %v, a wrong password at least %v", p.Kind, try[1], try[0], d, wrong)
			}
		}
	}
}

// TestUserTwice: the second line of a user counts for nothing.
func TestUserTwice(t *testing.T) {
	const first, second = "$6$c2FsdA$", "$6$cGVwcGVy$"
	key := strings.Repeat("A", 86)
	f, err := password.Edit("users", strings.NewReader("amy:"+first+key+"\namy:"+second+key+"\n"))
	if err != nil {
		t.Fatal(err)
	}
	if names := f.Users(); len(names) != 1 || f.Bad() == nil || !strings.Contains(f.Bad().Error(), `users:2: user "amy" is in line 1 already`) {
		t.Errorf("%q, %v", names, f.Bad())
	}
}
