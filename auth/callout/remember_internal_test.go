package callout

import (
	"crypto/sha256"
	"fmt"
	"testing"
	"time"

	"github.com/loopmq/loopmq/auth"
)

// TestRememberedIsBounded: strangers make as many questions as they like.
func TestRememberedIsBounded(t *testing.T) {
	s, err := New(Config{URL: "http://127.0.0.1/", Remember: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	for i := range rememberedMax + 100 {
		key := sha256.Sum256(fmt.Append(nil, i))
		s.remember(key, auth.Answer{Decision: auth.Deny})
		if _, ok := s.recall(key); !ok {
			t.Fatalf("answer %d is not remembered", i)
		}
	}
	if n := len(s.known); n != rememberedMax {
		t.Errorf("%d answers are remembered", n)
	}
}
