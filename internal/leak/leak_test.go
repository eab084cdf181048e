package leak_test

import (
	"os"
	"os/signal"
	"strings"
	"testing"
	"time"

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

func forgotten(end chan struct{}) { <-end }
