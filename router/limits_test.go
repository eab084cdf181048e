package router_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/loopmq/loopmq/router"
)

// reached is a limit and who reaches it.
type reached struct {
	id     router.LimitID
	limits router.Limits
	by     func(w *world)
}

// reachedLimits are all that a peer can reach without a store, as few lines each
// as it takes. Those of the queue's window have tests in shelf_test.go.
func reachedLimits() []reached {
	send := func(packets ...string) func(w *world) {
		return func(w *world) {
			c := w.join("c")
			for _, p := range packets {
				c.send(p)
			}
		}
	}
	away := func(w *world) {
		c := w.connect("s", false)
		c.send("82 06 0001 0001 't' 01")
		c.reset()
		send("32 06 0001 't' 0001 'x' 32 06 0001 't' 0002 'y'")(w)
	}
	slow := func(w *world) {
		c := w.subscribed("s", "t", "00")
		c.limit, c.out = 1, []byte{0}
		send("30 04 0001 't' 'x' 30 04 0001 't' 'y'")(w)
		for range 10 {
			w.sleep(1)
		}
	}
	return []reached{
		{router.LimitPacketBytes, router.Limits{PacketBytesMax: 30}, send("30 20")},
		{router.LimitConnectBytes, router.Limits{ConnectBytesMax: 10}, func(w *world) { w.connect("c", true) }},
		{router.LimitConnectTimeout, router.Limits{}, func(w *world) { w.dial(); w.sleep(10) }},
		{router.LimitClientIDBytes, router.Limits{ClientIDBytesMax: 1}, func(w *world) { w.connect("cc", true) }},
		{router.LimitInflight, router.Limits{InflightMax: 1}, send("82 06 0001 0001 't' 01", "32 06 0001 't' 0001 'x' 32 06 0001 't' 0002 'y'")},
		{router.LimitQueuedMessages, router.Limits{QueuedMessagesMax: 1}, away},
		{router.LimitQueuedBytes, router.Limits{QueuedBytesMax: 3}, away},
		{router.LimitQueuedTotal, router.Limits{QueuedTotalMax: 1}, away},
		{router.LimitTopicBytes, router.Limits{TopicBytesMax: 1}, send("30 05 0002 'tt' 'x'")},
		{router.LimitTopicLevels, router.Limits{TopicLevelsMax: 1}, send("30 05 0002 't/' 'x'")},
		{router.LimitSubscriptions, router.Limits{SubscriptionsMax: 1}, send("82 0a 0001 0001 't' 00 0001 'u' 00")},
		{router.LimitSessions, router.Limits{SessionsMax: 1}, func(w *world) { w.connect("a", false).reset(); w.connect("b", false).reset() }},
		{router.LimitSessionExpiry, router.Limits{}, func(w *world) { w.connect5("c", false, "11 ffffffff") }},
		{router.LimitReceiveMaximum, router.Limits{ReceiveMaximum: 1}, func(w *world) {
			c := w.join5("c", "")
			for i := range 3 {
				c.send(fmt.Sprintf("34 06 0001 't' %04x 00", i+1))
			}
		}},
		{router.LimitTopicAlias, router.Limits{TopicAliasMax: 1}, func(w *world) { w.join5("c", "").pub5("30", "t", "23 0002", "x") }},
		{router.LimitTopicAliasOut, router.Limits{TopicAliasOutMax: 1}, func(w *world) {
			c := w.join5("c", "22 0020").sub5("#", "00", "")
			for _, topic := range []string{"topic1", "topic1", "topic2", "topic2"} {
				c.pub5("30", topic, "", "x")
			}
		}},
		{router.LimitKeepAlive, router.Limits{KeepAliveMax: time.Minute}, func(w *world) {
			w.dial().send("10 0e 0004 'MQTT' 05 02 003d 00 0001 'c'")
		}},
		{router.LimitRetainedMessages, router.Limits{RetainedMessagesMax: 1}, send("31 04 0001 't' 'x' 31 04 0001 'u' 'x'")},
		{router.LimitRetainedBytes, router.Limits{RetainedBytesMax: 3}, send("31 04 0001 't' 'x' 31 04 0001 'u' 'x'")},
		{router.LimitLateBytes, router.Limits{LateBytesMax: 100}, slow},
		{router.LimitSlowTimeout, router.Limits{SlowTimeout: 4 * time.Second}, slow},
		{router.LimitAckTimeout, router.Limits{AckTimeout: 4 * time.Second, InflightMax: 1}, func(w *world) {
			send("82 06 0001 0001 't' 01", "32 06 0001 't' 0001 'x' 32 06 0001 't' 0002 'y'")(w)
			w.sleep(5)
			w.sleep(5)
		}},
		{router.LimitHoldTimeout, router.Limits{MemoryBytesMax: 100_000, HoldTimeout: time.Second}, func(w *world) {
			c := w.join5("c", "")
			w.pass(func() { w.r.SetMemoryElsewhere(95_000) })
			c.feed(packet(0x32, str("t"), "\x00\x01\x00", "x"))
			w.sleep(2)
			c.feed(packet(0x32, str("t"), "\x00\x02\x00", "x"))
		}},
		{router.LimitTakeovers, router.Limits{TakeoversMax: 1}, func(w *world) {
			for range 3 {
				w.connect("c", true)
			}
		}},
		{router.LimitMemory, router.Limits{MemoryBytesMax: 1000}, func(w *world) { w.connect("c", true) }},
		{router.LimitRetainedPass, router.Limits{RetainedPassMax: 1}, send("31 04 0001 't' 'x' 31 04 0001 'u' 'x'", "82 06 0001 0001 '#' 00")},
	}
}

// TestLimitsCount: each limit that takes effect is counted, and no other with it;
// and there is none that a peer may reach unseen.
func TestLimitsCount(t *testing.T) {
	tested := map[router.LimitID]bool{router.LimitQueuedWindow: true, router.LimitQueuedWindowBytes: true, router.LimitSysInterval: true}
	along := map[router.LimitID]router.LimitID{router.LimitAckTimeout: router.LimitInflight, router.LimitHoldTimeout: router.LimitMemory}
	for _, l := range reachedLimits() {
		tested[l.id] = true
		w := newWorld(t, l.limits)
		l.by(w)
		w.settle()
		for _, row := range router.LimitRows() {
			n := w.r.Stats().LimitHits[row.ID]
			if row.ID == l.id && n == 0 {
				t.Errorf("%s: reaching it is not counted", row.Name)
			}
			if row.ID != l.id && n > 0 && along[l.id] != row.ID {
				t.Errorf("%s: counted %d times when %s was reached", row.Name, n, router.LimitRows()[l.id].Name)
			}
		}
	}
	for _, row := range router.LimitRows() {
		if !tested[row.ID] {
			t.Errorf("%s: nobody reaches it here", row.Name)
		}
	}
}
