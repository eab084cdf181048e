package router_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/loopmq/loopmq/router"
)

func TestSharedRoundRobin(t *testing.T) {
	w := newWorld(t, router.Limits{})
	a, b := w.join5("a", "").sub5("$share/g/t/#", "00", ""), w.join5("b", "").sub5("$share/g/t/#", "00", "0b 05")
	old := w.join("old") // 3.1.1 may share as well
	old.send("82 11 0001 000c '$share/g/t/#' 00")
	old.take()
	alone := w.join5("alone", "").sub5("t/+", "00", "")
	p := w.join("p")
	for i := range 6 {
		p.send(fmt.Sprintf("30 06 0003 't/x' '%d'", i))
	}
	a.expect("30 07 0003 't/x' 00 '0' 30 07 0003 't/x' 00 '3'")
	b.expect("30 09 0003 't/x' 02 0b05 '1' 30 09 0003 't/x' 02 0b05 '4'")
	old.expect("30 06 0003 't/x' '2' 30 06 0003 't/x' '5'")
	if n := len(alone.take()); n != 6*9 {
		t.Errorf("the subscriber beside the group got %d bytes, want all six messages", n)
	}
	if n := w.r.Stats().Subscriptions; n != 4 {
		t.Errorf("%d subscriptions counted, want 4", n)
	}
	b.reset()
	a.send("a2 11 0001 00 000c '$share/g/t/#'")
	a.take()
	p.send("30 06 0003 't/x' '6' 30 06 0003 't/x' '7'")
	old.expect("30 06 0003 't/x' '6' 30 06 0003 't/x' '7'")
}

func TestSharedPrefersThoseWithRoom(t *testing.T) {
	w := newWorld(t, router.Limits{})
	a, b := w.join5("a", "21 0001").sub5("$share/g/t", "01", ""), w.join5("b", "").sub5("$share/g/t", "01", "")
	away := w.connect5("away", true, "11 00000e10")
	away.take()
	away.sub5("$share/g/t", "01", "")
	away.reset()
	p := w.join("p")
	for i := range 4 {
		p.send(fmt.Sprintf("32 06 0001 't' 0001 '%d'", i))
	}
	a.expect("32 07 0001 't' 0001 00 '0'")
	b.expect("32 07 0001 't' 0001 00 '1' 32 07 0001 't' 0002 00 '2' 32 07 0001 't' 0003 00 '3'")
	b.reset() // clean: what it did not acknowledge goes to others
	if n := w.r.Stats().PassedOn; n != 3 {
		t.Errorf("%d messages passed on, want 3", n)
	}
	a.send("40 02 0001")
	var got strings.Builder
	got.WriteString(string(a.take()))
	for range 3 {
		a.send("40 02 0002 40 02 0003 40 02 0004")
		got.WriteString(string(a.take()))
	}
	for _, payload := range "123" {
		if !strings.Contains(got.String(), "\x00"+string(payload)) {
			t.Errorf("message %c was lost: %x", payload, got.String())
		}
	}
	if n := w.r.Stats().Queued; n != 0 {
		t.Errorf("%d messages wait for the absent member while another is there", n)
	}
}

// TestSharedQoS2IsNotPassedOn: what was sent with QoS 2 belongs to its
// receiver; what still waited goes on.
func TestSharedQoS2IsNotPassedOn(t *testing.T) {
	w := newWorld(t, router.Limits{})
	a := w.join5("a", "21 0001").sub5("$share/g/t", "02", "")
	p := w.join("p")
	p.send("34 06 0001 't' 0001 '0' 34 06 0001 't' 0002 '1'")
	a.expect("34 07 0001 't' 0001 00 '0'")
	b := w.join5("b", "").sub5("$share/g/t", "02", "")
	a.reset()
	b.expect("34 07 0001 't' 0001 00 '1'")
}

func TestSharedQoS0WithNobodyThere(t *testing.T) {
	w := newWorld(t, router.Limits{})
	away := w.connect5("away", true, "11 00000e10")
	away.take()
	away.sub5("$share/g/t", "01", "")
	away.reset()
	w.join("p").send("30 04 0001 't' 'x'")
	if n := w.r.Stats().Dropped[router.DropNoMember]; n != 1 {
		t.Errorf("%d drops, want 1", n)
	}
}

func TestSharedRefusals(t *testing.T) {
	w := newWorld(t, router.Limits{})
	for _, body := range []string{
		"0001 00 0008 '$share/g' 00",
		"0001 00 0009 '$share//t' 00",
		"0001 00 000b '$share/g+/t' 00",
		"0001 00 000a '$share/g/t' 04", // No Local
	} {
		c := w.join5("c", "17 00")
		c.send(frame5(t, "82", body))
		if out := c.take(); len(out) != 3 || out[0] != 0xe0 || out[2] != 0x81 && out[2] != 0x82 {
			t.Errorf("%s: got %x", body, out)
		}
		c.expectClosed()
	}
	// No retained messages for a shared subscription.
	w.join("p").send("31 04 0001 't' 'r'")
	w.join5("d", "").sub5("$share/g/t", "00", "").expect("")
}

// TestSharedPassesOverFullQueues: what would be dropped at one member goes to another
// one that has room, even if that one is away; only then is something lost.
func TestSharedPassesOverFullQueues(t *testing.T) {
	for policy, waits := range map[router.QueueFull]string{router.QueueDropOldest: "3", router.QueueDropNewest: "1", router.QueueDisconnect: "1"} {
		w := newWorldOf(t, router.Config{Limits: router.Limits{InflightMax: 1, QueuedMessagesMax: 1}, QueueFull: policy})
		a := w.connect("a", true)
		a.send("82 0f 0001 000a '$share/g/t' 01")
		a.expect("20 02 00 00 90 03 0001 01")
		away := w.connect("b", false)
		away.send("82 0f 0001 000a '$share/g/t' 01")
		away.reset()
		p := w.connect("p", true)
		p.send("32 06 0001 't' 0001 '0' 32 06 0001 't' 0002 '1' 32 06 0001 't' 0003 '2'")
		if n := w.r.Stats().Dropped[router.DropQueueFull]; n != 0 || a.closing {
			t.Errorf("policy %d: %d dropped while there was room, closed %v", policy, n, a.closing)
		}
		if policy != router.QueueDisconnect {
			p.send("32 06 0001 't' 0004 '3'")
		}
		a.expect("32 06 0001 't' 0001 '0'")
		a.send("40 02 0001")
		a.expect("32 06 0001 't' 0002 '" + waits + "'")
		w.connect("b", false).expect("20 02 01 00 32 06 0001 't' 0001 '2'")
	}
}
