package guard_test

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/loopmq/loopmq/auth/guard"
)

// TestFailuresAtOnceAreForgottenInTime: who had very many logins checked before the
// first one failed is not kept out for longer than who fails one by one.
func TestFailuresAtOnceAreForgottenInTime(t *testing.T) {
	g := guard.New(small())
	var begun []guard.Attempt
	for i := range 500 {
		a, _, ok := g.Begin(0, addr("192.0.2.1"), fmt.Sprint("u", i))
		if !ok {
			t.Fatal("a first login is not looked at")
		}
		begun = append(begun, a)
	}
	for i := range begun {
		g.End(0, &begun[i], false)
	}
	if n := g.Failures(0, addr("192.0.2.1")); n != 3+20 {
		t.Errorf("%d failures are counted, want the burst and 20", n)
	}
}

// TestEndlessTimes: durations of a configuration that are beyond all bounds do not go
// round.
func TestEndlessTimes(t *testing.T) {
	g := guard.New(guard.Config{
		AddressBurst: math.MaxInt, UserBurst: 3, Refill: math.MaxInt64, FirstDelay: math.MaxInt64, DelayMax: math.MaxInt64,
	})
	checked := 0
	for i := range 10 {
		if ok, _ := login(g, int64(i), "192.0.2.1", "amy", false); ok {
			checked++
		}
	}
	if ok, wait := login(g, second, "192.0.2.2", "amy", true); checked != 4 || ok || wait < 23*time.Hour || wait > 24*time.Hour {
		t.Errorf("%d guesses; then %v, and %v to wait", checked, ok, wait)
	}
}

// TestFloodWhileChecking: a login that is being checked keeps its entries, whoever
// else fails meanwhile.
func TestFloodWhileChecking(t *testing.T) {
	c := small()
	c.EntriesMax = 4
	g := guard.New(c)
	login(g, 0, "192.0.2.1", "amy", false)
	a, _, ok := g.Begin(1, addr("192.0.2.1"), "amy")
	if !ok {
		t.Fatal("the second login is not looked at")
	}
	for i := range 100 {
		login(g, int64(i+2), fmt.Sprintf("203.0.113.%d", i), fmt.Sprint("u", i), false)
	}
	g.End(200, &a, false)
	if n := g.Failures(200, addr("192.0.2.1")); n != 2 {
		t.Errorf("%d failures, want 2", n)
	}
}
