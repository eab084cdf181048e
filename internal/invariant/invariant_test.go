package invariant_test

import (
	"bytes"
	"testing"

	"github.com/loopmq/loopmq/internal/invariant"
)

func TestCheckPanicsOnlyWhenOn(t *testing.T) {
	defer func() {
		if got := recover() != nil; got != invariant.On {
			t.Fatalf("panicked %v, want %v", got, invariant.On)
		}
	}()
	invariant.Check(true, "true never panics")
	invariant.Check(false, "%d is not %d", 1, 2)
}

func TestMangleFillsOnlyWhenOn(t *testing.T) {
	b := []byte("view")
	want := []byte("view")
	if invariant.On {
		want = []byte{0xCC, 0xCC, 0xCC, 0xCC}
	}
	invariant.Mangle(b)
	if !bytes.Equal(b, want) {
		t.Fatalf("got % x, want % x", b, want)
	}
}
