package router_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/loopmq/loopmq/router"
)

// narrow gives the listener limits of its own.
func (w *world) narrow(l router.Limits) *router.Limits {
	w.listener = &router.Listener{Name: "narrow", Limits: l.Over(w.r.Limits())}
	return w.listener.Limits
}

// TestListenerLimitsAnnounced: CONNACK tells what holds on the listener.
func TestListenerLimitsAnnounced(t *testing.T) {
	w := newWorld(t, router.Limits{})
	w.connect5("a", true, "").expect(welcome)
	w.narrow(router.Limits{
		ReceiveMaximum: 3, TopicAliasMax: 2, PacketBytesMax: 100, KeepAliveMax: 20 * time.Second, SessionExpiry: 5 * time.Second,
	})
	w.connect5("b", true, "").expect("20 19 00 00 16 13 0014 21 0003 22 0002 25 01 27 00000064 28 01 29 01 2a 01")
	c := w.connect5("c", true, "11 00000009") // nine seconds become five
	c.expect("20 1e 00 00 1b 11 00000005 13 0014 21 0003 22 0002 25 01 27 00000064 28 01 29 01 2a 01")
	d := w.dial()
	d.send("10 0e 0004 'MQTT' 05 02 003c 00 0001 'd'") // a minute becomes 20 s
	d.expect("20 19 00 00 16 13 0014 21 0003 22 0002 25 01 27 00000064 28 01 29 01 2a 01")
	w.sleep(31)
	d.expect("e0 42 8d 40 1f 003d 'nothing received for 1.5 times the keep alive [MQTT-3.1.2-24]'")
	d.expectClosed()
}

// TestListenerLimitsOfConnect: the first packet is held against them.
func TestListenerLimitsOfConnect(t *testing.T) {
	w := newWorld(t, router.Limits{})
	w.narrow(router.Limits{ConnectBytesMax: 40, ConnectTimeout: time.Second, ClientIDBytesMax: 3})
	w.connect("abc", true).expect("20 02 00 00")
	w.connect("abcd", true).expect("20 02 00 02")
	w.connect5("abcd", true, "").expect("20 3d 00 85 3a 1f 0037 'client identifier has 4 bytes; client-id-bytes-max is 3'")
	w.connect(strings.Repeat("x", 40), true).expectClosed()
	c := w.dial()
	w.sleep(1.1)
	c.expectClosed()
}

// TestListenerLimitsOfPackets: sizes, aliases and windows are those of the
// listener; who comes through another one has the general ones.
func TestListenerLimitsOfPackets(t *testing.T) {
	w := newWorld(t, router.Limits{})
	wide := w.join("w")
	wide.send("82 06 0001 0001 't' 01")
	wide.expect("90 03 0001 01")
	own := w.narrow(router.Limits{PacketBytesMax: 20, TopicAliasMax: 1, TopicAliasOutMax: 1, ReceiveMaximum: 1, InflightMax: 2})
	big := "30 16 0001 't' '1234567890123456789'"
	three := w.join("3")
	three.send(big)
	three.expectClosed()
	five := w.join5("5", "")
	five.send("30 16 0001 't' 00 '123456789012345678'")
	if out := five.take(); len(out) < 3 || out[0] != 0xE0 || out[2] != 0x95 {
		t.Errorf("a packet too large: % x", out)
	}
	wide.send(big)
	wide.take()
	alias := w.join5("a", "")
	alias.send("30 07 0001 't' 03 23 0002")
	if out := alias.take(); len(out) < 3 || out[0] != 0xE0 || out[2] != 0x94 {
		t.Errorf("an alias too high: % x", out)
	}
	crowd := w.join5("c", "")
	crowd.send("34 06 0001 'q' 0001 00 34 06 0001 'q' 0002 00 34 06 0001 'q' 0003 00")
	crowd.expect(fmt.Sprintf("50 03 0001 10 50 03 0002 10 e0 3a 93 38 1f 0035 '2 QoS 2 messages without PUBREL; receive-maximum is %d'", own.ReceiveMaximum))
	slow := w.join("s")
	slow.send("82 06 0001 0001 't' 01")
	slow.expect("90 03 0001 01")
	for i := range 3 {
		wide.send(fmt.Sprintf("32 06 0001 't' %04x '%d'", i+1, i))
	}
	slow.expect("32 06 0001 't' 0001 '0' 32 06 0001 't' 0002 '1'")
	slow.send("40 02 0001")
	slow.expect("32 06 0001 't' 0003 '2'")
}

// TestAnnouncedLimitsHold: who was told a Receive Maximum and a Topic Alias Maximum
// may use them to the end of the connection, also after a reload that lowers them.
func TestAnnouncedLimitsHold(t *testing.T) {
	w := newWorld(t, router.Limits{ReceiveMaximum: 4, TopicAliasMax: 4})
	c := w.join5("c", "")
	w.pass(func() { w.r.Change(router.Config{Limits: router.Limits{ReceiveMaximum: 1, TopicAliasMax: 1}}) })
	c.send("34 09 0001 't' 0001 03 23 0004 34 08 0000 0002 03 23 0004 34 08 0000 0003 03 23 0004")
	c.expect("50 03 0001 10 50 03 0002 10 50 03 0003 10")
	late := w.join5("d", "")
	late.send("34 09 0001 't' 0001 03 23 0002")
	late.expect("e0 28 94 26 1f 0023 'Topic Alias 2; topic-alias-max is 1'")
	late.expectClosed()
}

// TestListenerLimitsOfSessions: filters and what waits, also while the client
// is away, and until it comes through another listener.
func TestListenerLimitsOfSessions(t *testing.T) {
	w := newWorld(t, router.Limits{})
	p := w.join("p")
	general := w.listener
	w.narrow(router.Limits{SubscriptionsMax: 2, QueuedMessagesMax: 2, QueuedBytesMax: 6})
	c := w.connect("c", false)
	c.expect("20 02 00 00")
	c.send("82 0e 0001 0001 'a' 01 0001 'b' 01 0001 'c' 01")
	c.expect("90 05 0001 01 01 80")
	five := w.join5("5", "")
	five.send("82 0f 0001 00 0001 'a' 00 0001 'b' 00 0001 'c' 00")
	if out := five.take(); len(out) < 4 || out[len(out)-1] != 0x97 {
		t.Errorf("SUBACK % x, want 97 for the third filter", out)
	}
	c.reset()
	for i := range 4 {
		p.send(fmt.Sprintf("32 06 0001 'a' %04x '%d'", i+1, i))
	}
	w.connect("c", false).expect("20 02 01 00 32 06 0001 'a' 0001 '2' 32 06 0001 'a' 0002 '3'")
	w.listener = general
	c = w.connect("c", false)
	c.expect("20 02 01 00 3a 06 0001 'a' 0001 '2' 3a 06 0001 'a' 0002 '3'")
	c.send("40 02 0001 40 02 0002")
	c.reset()
	for i := range 4 {
		p.send(fmt.Sprintf("32 06 0001 'a' %04x '%d'", i+1, i))
	}
	w.connect("c", false).expect(`20 02 01 00 32 06 0001 'a' 0003 '0' 32 06 0001 'a' 0004 '1' 32 06 0001 'a' 0005 '2' 32 06 0001 'a' 0006 '3'`)
}

// TestListenerLimitsExpiry: a session of 3.1.1 lives as long as the listener
// says.
func TestListenerLimitsExpiry(t *testing.T) {
	w := newWorld(t, router.Limits{})
	w.narrow(router.Limits{SessionExpiry: 5 * time.Second})
	c := w.connect("c", false)
	c.expect("20 02 00 00")
	c.reset()
	w.sleep(4)
	c = w.connect("c", false)
	c.expect("20 02 01 00")
	c.reset()
	w.sleep(6)
	w.connect("c", false).expect("20 02 00 00")
}

func TestLimitsOver(t *testing.T) {
	if l := (router.Limits{}).Over(router.Limits{InflightMax: 3}); l != nil {
		t.Errorf("nothing is said, and the listener has %+v", l)
	}
	l := router.Limits{InflightMax: 2}.Over(router.Limits{InflightMax: 3, ReceiveMaximum: 4})
	if l.InflightMax != 2 || l.ReceiveMaximum != 4 || l.TopicLevelsMax != router.DefaultLimits().TopicLevelsMax {
		t.Errorf("%+v", l)
	}
}
