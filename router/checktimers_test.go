package router_test

import (
	"strings"
	"testing"

	"github.com/loopmq/loopmq/router"
)

// A timer of what is gone is noticed.
func TestTimerOfNobodyIsNoticed(t *testing.T) {
	r := router.New(router.Config{Rand: func() uint64 { return 1 }})
	if err := r.CheckInvariants(); err != nil {
		t.Fatal(err)
	}
	r.ArmNobodys()
	if err := r.CheckInvariants(); err == nil || !strings.Contains(err.Error(), "armed timers: counted 1, found 0") {
		t.Errorf("got %v", err)
	}
}
