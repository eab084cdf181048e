package sim_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/loopmq/loopmq/internal/sim"
	"github.com/loopmq/loopmq/router"
)

// Each rule of the ledger that is not about the disk has a mistake here that breaks
// it, and must be what catches it.

const tableWills = 3

// ledgerBreak is a mistake, and a part of what the ledger says of it.
type ledgerBreak struct {
	make func() sim.Break
	want string
}

func ledgerBreaks() map[string]ledgerBreak {
	got := func(every int, which, damage func(b []byte) bool) func() sim.Break {
		return func() sim.Break { return receive(every, which, func(b []byte) { damage(b) }) }
	}
	qos := func(q byte) func(b []byte) bool { return func(b []byte) bool { return isPublish(b, q) } }
	alter := func(at func(b []byte) int, bit byte) func(b *[]byte) int {
		return func(b *[]byte) int {
			c := bytes.Clone(*b)
			c[at(c)] ^= bit
			*b = c
			return 1
		}
	}
	last := func(b []byte) int { return len(b) - 1 }
	packetID := func(b []byte) int { i := body(b); return i + 3 + int(b[i+1]) }
	limit := func(change func(l *router.Limits)) func() sim.Break { return limits(change) }
	return map[string]ledgerBreak{
		"drops every 50th QoS 0 delivery":         {send(50, qos(0), func(*[]byte) int { return 0 }), "was not sent"},
		"drops what came with QoS 1 for QoS 0":    {send(50, qos(0), func(*[]byte) int { return 0 }), "it came with QoS 1"},
		"drops what came with QoS 2 for QoS 0":    {send(50, qos(0), func(*[]byte) int { return 0 }), "it came with QoS 2"},
		"sends every 50th QoS 0 twice":            {send(50, qos(0), func(*[]byte) int { return 2 }), "it was published"},
		"alters every 50th QoS 0":                 {send(50, qos(0), alter(last, 0x55)), "nobody has published"},
		"cuts a byte off every 50th QoS 0":        {send(50, longQoS0, shorter), "payload"},
		"forgets every UNSUBSCRIBE, QoS 0":        {loseUnsubscribeOfAll, "PUBLISH qos=0"},
		"sends QoS 0 after its expiry":            {got(1, qos(0), longLife), "after its expiry"},
		"gives every 50th a used PacketID":        {send(50, qos(1), alter(packetID, 1)), "in use"},
		"sends more than the window":              {limit(func(l *router.Limits) { l.InflightMax *= 2 }), "has"},
		"forgets Maximum Packet Size":             {got(1, isConnect, noPacketMax), "its Maximum Packet Size"},
		"alters every 20th alias":                 {send(20, hasAlias, alter(aliasOf, 3)), "PUBLISH"},
		"publishes wills at once":                 {got(1, isConnect, noDelay), "a will that is due"},
		"publishes wills after DISCONNECT":        {got(1, isLeaving, withWill), "taken back"},
		"retains no wills":                        {got(1, isConnect, forgottenWill), "which is not the last of the will"},
		"keeps wills that are retained":           {got(1, isRetained, notRetained), "has the retained value the will"},
		"publishes wills late":                    {got(1, isConnect, longDelay), "waits for"},
		"publishes wills to groups with QoS 0":    {got(1, isConnect, weakWill), "waits for the will"},
		"lets duels go on":                        {limit(func(l *router.Limits) { l.TakeoversMax = 1 << 30 }), "the duel"},
		"damps duels too early":                   {limit(func(l *router.Limits) { l.TakeoversMax = max(1, l.TakeoversMax-1) }), "duel"},
		"reads on from who waits in a duel":       {readOn, "waits in a duel"},
		"mistakes every other foreign identifier": {got(2, isCold, anotherCold), "is told of session present"},
		"takes an UNSUBACK of a client":           {got(1, isUnsuback, harmless), "has sent UNSUBACK"},
		"loses every will over a restart":         {loseWills, "waits for"},
		"drops before the queue is full":          {limit(func(l *router.Limits) { l.QueuedMessagesMax = max(1, l.QueuedMessagesMax/2) }), "waits for"},
		"drops before all queues are full":        {limit(func(l *router.Limits) { l.QueuedTotalMax = max(1, l.QueuedTotalMax/8) }), "waits for"},
		"ends sessions before there are too many": {limit(func(l *router.Limits) { l.SessionsMax = max(1, l.SessionsMax/2) }), "session"},
		"drops retained messages that have room": {limit(func(l *router.Limits) {
			l.RetainedMessagesMax = max(1, l.RetainedMessagesMax/2)
		}), "has the retained value"},
		"drops before a member's queue is full": {limit(func(l *router.Limits) {
			l.QueuedMessagesMax = max(1, l.QueuedMessagesMax/2)
		}), "a shared subscription of"},
		"counts every other drop only":     {func() sim.Break { return sim.Break{Drops: func(n int) int { return n / 2 }} }, "waits for"},
		"begins every session of 3.1 anew": {got(1, isConnect, cleanOld), "waits for"},
	}
}

func isConnect(b []byte) bool { return b[0] == 0x10 }

// isLeaving is a DISCONNECT of 5.0 with a reason.
func isLeaving(b []byte) bool { return b[0] == 0xe0 && b[1] > 0 }

func withWill(b []byte) bool { b[2] = 4; return true }

// isCold is a CONNECT with an identifier that is no client's own.
func isCold(b []byte) bool { return isConnect(b) && bytes.Contains(b, []byte("\x00\x05cold")) }

func anotherCold(b []byte) bool {
	if i := bytes.Index(b, []byte("\x00\x05cold")) + 6; i < len(b) {
		b[i] = 'x'
	}
	return true
}

// isUnsuback is one of 3.x: two bytes.
func isUnsuback(b []byte) bool { return b[0] == 0xb0 && b[1] == 2 }

// harmless makes it a PUBACK for what is not on its way.
func harmless(b []byte) bool { b[0], b[2] = 0x40, 0xff; return true }

func isRetained(b []byte) bool  { return b[0]>>4 == 3 && b[0]&1 == 1 }
func notRetained(b []byte) bool { b[0] &^= 1; return true }

// weakWill has the will of a CONNECT be one with QoS 0.
func weakWill(b []byte) bool { return clearFlags(b, 0x18) }

// forgottenWill has it be one that is not retained.
func forgottenWill(b []byte) bool { return clearFlags(b, 0x20) }

// clearFlags takes flags out of a CONNECT.
func clearFlags(b []byte, flags byte) bool {
	i := bytes.Index(b, []byte("MQTT"))
	if i < 0 || i+5 >= len(b) {
		return false
	}
	b[i+5] &^= flags
	return true
}

// property finds a property of four bytes by what comes before its last two.
func property(b []byte, id byte) []byte {
	i := bytes.Index(b, []byte{id, 0, 0, 0})
	if i < 0 || i+5 > len(b) {
		return nil
	}
	return b[i+1 : i+5]
}

func set(b []byte, id byte, value ...byte) bool {
	p := property(b, id)
	copy(p, value)
	return p != nil
}

func noPacketMax(b []byte) bool { return set(b, 0x27, 0, 15) }
func noDelay(b []byte) bool     { return set(b, 0x18, 0, 0, 0, 0) }
func longDelay(b []byte) bool   { return set(b, 0x18, 0, 15) }
func longLife(b []byte) bool    { return set(b, 2, 0, 15) }

// cleanOld sets Clean Session in a CONNECT of 3.1.
func cleanOld(b []byte) bool {
	if i := bytes.Index(b, []byte("MQIsdp\x03")); i >= 0 {
		b[i+7] |= 2
	}
	return true
}

// aliasOf is where the low byte of a Topic Alias stands that replaces a topic in a
// PUBLISH with QoS 0, whose first property it is; 0: there is none.
func aliasOf(b []byte) int {
	i := body(b)
	if isPublish(b, 0) && len(b) > i+5 && b[i] == 0 && b[i+1] == 0 && b[i+2] >= 3 && b[i+3] == 0x23 {
		return i + 5
	}
	return 0
}

// longQoS0 is a PUBLISH with QoS 0 whose length takes one byte, and the payload a few.
func longQoS0(b []byte) bool { return isPublish(b, 0) && b[1] < 0x80 && b[len(b)-1] == '.' }

func shorter(b *[]byte) int {
	c := bytes.Clone((*b)[:len(*b)-1])
	c[1]--
	*b = c
	return 1
}

func hasAlias(b []byte) bool { return aliasOf(b) > 0 }

func loseUnsubscribeOfAll() sim.Break {
	return receive(1, func(b []byte) bool { return b[0]>>4 == 10 }, func(b []byte) { b[len(b)-1] ^= 1 })
}

func loseWills() sim.Break {
	return sim.Break{Load: func(key uint64, value []byte) []byte {
		if key>>56 == tableWills {
			return nil
		}
		return value
	}}
}

func TestBrokenLedgerRulesAreCaught(t *testing.T) {
	for name, b := range ledgerBreaks() {
		t.Run(name, func(t *testing.T) {
			damage := b.make()
			for seed := uint64(1); seed <= 2000; seed++ {
				p := sim.DrawDisk(seed)
				p.Break = damage
				r := sim.Run(p, nil)
				if r.Err == nil {
					continue
				}
				if !strings.Contains(r.Err.Error(), b.want) {
					t.Logf("seed %d: %.200v", seed, r.Err)
					continue
				}
				t.Logf("caught by seed %d: %.120v", seed, r.Err)
				return
			}
			t.Error("was not caught in 2000 runs")
		})
	}
}
