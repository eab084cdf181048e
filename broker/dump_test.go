package broker_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/loopmq/loopmq/auth/guard"
	"github.com/loopmq/loopmq/broker"
)

// A dump names those who are kept out.
func TestDumpTellsWhoIsKeptOut(t *testing.T) {
	sink, log := newRecords()
	b := start(t, broker.Config{
		Log: log, PasswordFile: mosquittoPasswd(t, "alice", "a"), Guard: guard.Config{AddressBurst: 1, FirstDelay: time.Minute},
		Bans: []guard.Ban{{Kind: guard.User, Name: "mallory", Why: "left"}, {Kind: guard.User, Name: "over", Until: 1}},
	})
	for range 2 {
		refused(t, b, login("x", "eve", "guess"), 4)
	}
	if err := b.Dump(t.Context()); err != nil {
		t.Fatal(err)
	}
	sink.wait(t, "state: banned", `who="user mallory because left"`, "all=1")
	sink.wait(t, "state: has to wait after failed logins", "addr=127.0.0.1", "left=")
}

// A dump of a long list of bans does not hold the loop while it is put in order.
func TestDumpOfManyBansLeavesTheLoopAlone(t *testing.T) {
	bans := make([]guard.Ban, 100_000)
	for i := range bans {
		bans[i] = guard.Ban{Kind: guard.User, Name: fmt.Sprint("mallory", i)}
	}
	b := start(t, broker.Config{Bans: bans})
	var whole, longest time.Duration
	for range 3 { // others use the machine too
		done := make(chan error, 1)
		begun := time.Now()
		go func() { done <- b.Dump(context.Background()) }()
		longest = 0
		for whole = 0; whole == 0; {
			turn := time.Now()
			if err := b.Alive(t.Context()); err != nil {
				t.Fatal(err)
			}
			longest = max(longest, time.Since(turn))
			select {
			case err := <-done:
				if whole = time.Since(begun); err != nil {
					t.Fatal(err)
				}
			default:
			}
		}
		if longest < whole/4 {
			return
		}
	}
	t.Errorf("of a dump of %v the loop did nothing else for %v", whole, longest)
}
