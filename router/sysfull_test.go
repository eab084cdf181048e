package router_test

import (
	"fmt"
	"testing"

	"github.com/loopmq/loopmq/router"
)

// TestSysTellsWhatIsFull: where retained messages have all the room that they may have, or the memory is full,
// $SYS has its values all the same, and who is connected may look at them, as long as few do.
func TestSysTellsWhatIsFull(t *testing.T) {
	const level = "82 1d 0001 0018 '$SYS/broker/memory/level' 00"
	for name, limits := range map[string]router.Limits{
		"retained-messages-max": {RetainedMessagesMax: 2, MemoryBytesMax: 1_000_000},
		"retained-bytes-max":    {RetainedBytesMax: 20, MemoryBytesMax: 1_000_000},
		"share of memory-limit": {MemoryBytesMax: 100_000},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, limits)
			p := w.join("p")
			for i := range 400 {
				p.send(fmt.Sprintf("31 0a 0003 '%03d' 'xxxxx'", i))
			}
			s := w.join("s")
			s.send(level)
			s.expect("90 03 0001 00 31 1b 0018 '$SYS/broker/memory/level' '0'")
		})
	}
	t.Run("memory-limit", func(t *testing.T) {
		w := newWorld(t, million)
		s, old := w.join("s"), w.join("old")
		w.pass(func() { w.r.SetMemoryElsewhere(950_000) })
		s.send("82 06 0001 0001 't' 00")
		s.expect("90 03 0001 80")
		s.send(level)
		s.expect("90 03 0001 00 31 1b 0018 '$SYS/broker/memory/level' '3'")
		for i := range 70 {
			old.send(fmt.Sprintf("82 13 0001 000e '$SYS/broker/%02d' 00", i))
		}
		if out := old.take(); out[4] != 0 || out[len(out)-1] != 0x80 {
			t.Errorf("answers % x", out)
		}
	})
}
