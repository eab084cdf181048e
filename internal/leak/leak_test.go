package leak_test

import (
	"fmt"
	"os"
	"os/signal"
	"strings"
	"testing"
	"time"

	"github.com/loopmq/loopmq/internal/invariant"
	"github.com/loopmq/loopmq/internal/leak"
)

// tests is a run that may leave something behind.
type tests func()

func (f tests) Run() int { f(); return 0 }

func TestNothingIsLeft(t *testing.T) {
	if code := leak.Main(tests(func() {
		f, err := os.Open(os.DevNull)
		if err != nil {
			t.Fatal(err)
		}
		f.Close()
		c := make(chan os.Signal, 1)
		signal.Notify(c, os.Interrupt) // as fuzzing does
		signal.Stop(c)
		go func() {}()
	})); code != 0 {
		t.Errorf("exit status %d for tests that left nothing", code)
	}
}

func TestWhatIsLeftIsNamed(t *testing.T) {
	before := leak.Now()
	f, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	end := make(chan struct{})
	go forgotten(end)
	err = before.Wait(10 * time.Millisecond)
	close(end)
	f.Close()
	if err == nil || !strings.Contains(err.Error(), "leak_test.forgotten") || !strings.Contains(err.Error(), os.DevNull) {
		t.Fatalf("want the goroutine and the file, got %v", err)
	}
	if err := before.Wait(10 * time.Second); err != nil {
		t.Errorf("after their end: %v", err)
	}
}

func TestTimersAreCounted(t *testing.T) {
	if !invariant.On {
		t.Skip("timers are counted in builds with invariants")
	}
	before := leak.Now()
	kept := invariant.AfterFunc(time.Hour, func() {})
	if err := before.Wait(0); err == nil {
		t.Error("a timer that is set is not missed")
	}
	kept.Stop()
	kept.Reset(time.Hour)
	if err := before.Wait(0); err == nil {
		t.Error("a timer that is set again is not missed")
	}
	kept.Stop()
	kept.Stop()
	rang := make(chan struct{})
	invariant.AfterFunc(0, func() { close(rang) })
	<-rang
	if err := before.Wait(10 * time.Second); err != nil {
		t.Errorf("after their end: %v", err)
	}
}

func forgotten(end chan struct{}) { <-end }

// failing is a test that has started something, and what it says in the end.
type failing struct {
	testing.TB
	name  string
	says  string
	after []func()
}

func (f *failing) Helper()                         {}
func (f *failing) Name() string                    { return f.name }
func (f *failing) Failed() bool                    { return f.says != "" }
func (f *failing) Cleanup(g func())                { f.after = append(f.after, g) }
func (f *failing) Errorf(text string, args ...any) { f.says = fmt.Sprintf(text, args...) }

func TestGoroutinesOfOneTest(t *testing.T) {
	end := make(chan struct{})
	defer close(end)
	for _, others := range []bool{false, true} {
		f, done := &failing{name: fmt.Sprint("others ", others)}, make(chan struct{})
		go func() {
			defer close(done)
			started := make(chan struct{})
			if others { // of no test that asks
				go func() { close(started); forgotten(end) }()
				<-started
			}
			leak.TestFor(f, 10*time.Millisecond)
			if !others {
				go func() { go func() { close(started); forgotten(end) }() }()
				<-started
			}
			f.after[0]()
		}()
		<-done
		if strings.Contains(f.says, "leak_test.forgotten") == others {
			t.Errorf("of others: %v; %q", others, f.says)
		}
	}
}
