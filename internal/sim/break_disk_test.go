package sim_test

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/loopmq/loopmq/internal/sim"
)

// A router that does not keep what it has promised must be caught: each case is
// a mistake that it could make with a disk, made by the disk for it.

// Tables of the router's records, the top byte of their keys.
const (
	tableSessions      = 2
	tableSubscriptions = 4
	tableRetained      = 5
	tableReceived      = 6
	tableEntries       = 7
)

func diskBreaks() map[string]func() sim.Break {
	every := func(n int) func() bool {
		c := &count{every: n}
		return c.due
	}
	forget := func(table uint64, n int) func() sim.Break {
		return func() sim.Break {
			due := every(n)
			return sim.Break{Load: func(key uint64, value []byte) []byte {
				if key>>56 == table && due() {
					return nil
				}
				return value
			}}
		}
	}
	return map[string]func() sim.Break{
		"acknowledges every 20th batch before its commit": func() sim.Break { return sim.Break{Hasty: every(20)} },
		"forgets every batch that found no room":          func() sim.Break { return sim.Break{Full: every(1)} },
		"drops every 20th read": func() sim.Break {
			due := every(20)
			return sim.Break{Read: func() bool { return !due() }}
		},
		"delivers what was sent anew after a start": func() sim.Break { return sim.Break{Load: unsend} },
		"forgets the PacketIDs that it received":    forget(tableReceived, 1),
		"forgets every 20th message that waits":     forget(tableEntries, 20),
		"forgets every 10th subscription":           forget(tableSubscriptions, 10),
		"forgets every 10th retained message":       forget(tableRetained, 10),
		"forgets every 10th session":                forget(tableSessions, 10),
	}
}

// unsend makes an entry that was sent one that waits: it gets another PacketID.
func unsend(key uint64, value []byte) []byte {
	if key>>56 != tableEntries {
		return value
	}
	at := 1 // behind the version
	_, n := binary.Uvarint(value[at:])
	at += n
	message, n := binary.Uvarint(value[at:])
	at += n
	_, n = binary.Uvarint(value[at:])
	if message == 0 { // PUBREC came
		return value
	}
	return append(append(bytes.Clone(value[:at]), 0), value[at+n:]...)
}

func TestBrokenPromisesAreCaught(t *testing.T) {
	for name, make := range diskBreaks() {
		t.Run(name, func(t *testing.T) {
			damage := make()
			for seed := uint64(1); seed <= 1000; seed++ {
				p := sim.DrawDisk(seed)
				p.Break = damage
				if r := sim.Run(p, nil); r.Err != nil {
					t.Logf("caught by seed %d: %.120v", seed, r.Err)
					return
				}
			}
			t.Error("was not caught in 1000 runs")
		})
	}
}
