package testkit

import (
	"testing"
	"time"
)

// Until asks again and again, until it is done.
func Until(t testing.TB, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(Patience); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("never came true:", what)
		}
	}
}

// Receive receives what must come.
func Receive[T any](t testing.TB, from <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(Patience):
		t.Fatal("waited in vain for", what)
		panic("unreachable")
	}
}
