package router_test

import (
	"fmt"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/loopmq/loopmq/router"
)

// published reads PUBLISH packets of 3.1.1 with QoS 0: topic=payload, and "!"
// in front where RETAIN was not set.
func (c *fakeConn) published() (list []string) {
	c.w.t.Helper()
	for b := c.take(); len(b) > 0; {
		if b[0]&^1 != 0x30 || b[1] > 127 {
			c.w.t.Fatalf("no short PUBLISH: % x", b)
		}
		body := b[2 : 2+b[1]]
		n := int(body[0])<<8 | int(body[1])
		text := fmt.Sprintf("%s=%s", body[2:2+n], body[2+n:])
		if b[0] == 0x30 {
			text = "!" + text
		}
		list = append(list, text)
		b = b[2+len(body):]
	}
	return list
}

// sysTopics are those of Mosquitto 2.1, below $SYS/broker/.
const sysTopics = `version uptime clients/total clients/maximum clients/connected clients/active clients/disconnected
clients/inactive clients/expired messages/stored store/messages/count store/messages/bytes subscriptions/count
shared_subscriptions/count retained_messages/count heap/current heap/maximum messages/received messages/sent bytes/received
bytes/sent publish/bytes/received publish/bytes/sent publish/messages/received publish/messages/sent publish/messages/dropped
packet/out/count packet/out/bytes connections/socket/count`

func TestSysTree(t *testing.T) {
	traffic := router.Traffic{BytesIn: 600, BytesOut: 1200, Sockets: 3, Accepted: 4, Heap: 5}
	w := newWorldOf(t, router.Config{Version: "1.2", Traffic: func() router.Traffic { return traffic }})
	p := w.subscribed("p", "a/#", "00")
	p.send("30 05 0001 'a' 'xy' 30 05 0001 'a' 'xy'") // 2 packets of 2 bytes, to itself
	p.take()
	w.sleep(60)
	c := w.join("c")
	c.send("82 0b 0001 0006 '$SYS/#' 00")
	w.settle()
	out := c.take()
	if string(out[:5]) != "\x90\x03\x00\x01\x00" {
		t.Fatalf("% x is no SUBACK", out[:5])
	}
	c.out = out[5:]
	values := map[string]string{}
	for _, line := range c.published() {
		topic, value, _ := strings.Cut(line, "=")
		if strings.HasPrefix(topic, "!") {
			t.Errorf("%s came without RETAIN", topic)
		}
		values[strings.TrimPrefix(topic, "$SYS/broker/")] = value
	}
	want := strings.Fields(sysTopics)
	for l := range strings.FieldsSeq("messages/received messages/sent publish/dropped publish/received publish/sent bytes/received bytes/sent sockets connections") {
		want = append(want, "load/"+l+"/1min", "load/"+l+"/5min", "load/"+l+"/15min")
	}
	if len(values) != len(want) {
		t.Errorf("%d topics, want %d", len(values), len(want))
	}
	for _, topic := range want {
		if _, ok := values[strings.ReplaceAll(topic, "_messages/c", " messages/c")]; !ok {
			t.Errorf("%s is missing", topic)
		}
	}
	for topic, want := range map[string]string{
		"version": "loopmq version 1.2", "uptime": "60 seconds", "clients/connected": "2", "clients/active": "2", "clients/maximum": "2",
		"clients/disconnected": "0", "subscriptions/count": "1", "bytes/received": "600", "bytes/sent": "1200",
		"publish/messages/received": "2", "publish/messages/sent": "2", "publish/bytes/received": "4", "publish/bytes/sent": "4",
		"messages/received": "6", "messages/sent": "5", // CONNECT, SUBSCRIBE, 2 PUBLISH, CONNECT, SUBSCRIBE; CONNACK, SUBACK, 2 PUBLISH, CONNACK
		"heap/current": "5", "heap/maximum": "5", "connections/socket/count": "3",
		"load/publish/received/1min": "1.26", // 2 a minute for one minute: 2 × (1 − 1/e)
		"load/bytes/received/5min":   "108.76",
	} {
		if values[topic] != want {
			t.Errorf("%s is %q, want %q", topic, values[topic], want)
		}
	}
	testSysChanges(t, w, c, &traffic)
}

// testSysChanges: only what has changed is sent, and nothing to nobody.
func testSysChanges(t *testing.T, w *world, c *fakeConn, traffic *router.Traffic) {
	traffic.Heap = 4
	c.send("a2 0a 0002 0006 '$SYS/#' 82 17 0003 0012 '$SYS/broker/heap/#' 00")
	w.settle()
	out := c.take()
	if len(out) < 9 || string(out[:9]) != "\xb0\x02\x00\x02\x90\x03\x00\x03\x00" {
		t.Fatalf("% x", out)
	}
	c.out = out[9:]
	got := c.published()
	sort.Strings(got)
	if want := "[$SYS/broker/heap/current=4 $SYS/broker/heap/maximum=5]"; fmt.Sprint(got) != want {
		t.Errorf("got %v, want %s", got, want)
	}
	w.sleep(10)
	c.expect("")
	traffic.Heap = 7
	w.sleep(10)
	if got, want := fmt.Sprint(c.published()), "[!$SYS/broker/heap/current=7 !$SYS/broker/heap/maximum=7]"; got != want {
		t.Errorf("got %v, want %s", got, want)
	}
	c.reset()
	w.settle()
	if w.wake != 0 {
		t.Errorf("the router wants to wake at %d although nobody listens", w.wake)
	}
}

func TestSysOfListeners(t *testing.T) {
	traffic := router.Traffic{Listeners: []router.Fact{{"mqtts", "certificate/days", -3}, {"web", "websocket/refused", 2}}}
	w := newWorldOf(t, router.Config{Traffic: func() router.Traffic { return traffic }})
	c := w.join("c")
	c.send("82 20 0001 001b '$SYS/broker/listeners/+/+/+' 00")
	w.settle()
	out := c.take()
	c.out = out[5:]
	got := c.published()
	sort.Strings(got)
	want := "[$SYS/broker/listeners/mqtts/certificate/days=-3 $SYS/broker/listeners/web/websocket/refused=2]"
	if fmt.Sprint(got) != want {
		t.Errorf("got %v, want %s", got, want)
	}
	traffic.Listeners = traffic.Listeners[:1] // the other is withdrawn
	w.sleep(10)
	if got, want := fmt.Sprint(c.published()), "[!$SYS/broker/listeners/web/websocket/refused=]"; got != want {
		t.Errorf("got %v, want %s", got, want)
	}
	w.sleep(10)
	c.expect("")
}

func TestSysIsTheBrokers(t *testing.T) {
	w := newWorld(t, router.Limits{})
	c := w.subscribed("c", "#", "00")
	s := w.join("s")
	s.send("82 17 0001 0012 '$SYS/broker/heap/#' 00")
	s.take()
	c.expect("") // not matched by # [MQTT-4.7.2-1]
	c.send("30 1b 0013 '$SYS/broker/version' 'forged'")
	w.sleep(10)
	s.expect("")
}

// What limits have done, and the memory, is told.
func TestSysOfLimits(t *testing.T) {
	w := newWorld(t, router.Limits{MemoryBytesMax: 1_000_000, SubscriptionsMax: 1})
	c := w.join("c")
	c.send("82 06 0002 0001 'a' 00 82 06 0003 0001 'b' 00")
	c.expect("90 03 0002 00 90 03 0003 80")
	s := w.join("s")
	w.pass(func() { w.r.SetMemoryElsewhere(850_000) })
	s.send("82 0b 0001 0006 '$SYS/#' 00")
	w.settle()
	out := s.take()
	s.out = out[5:]
	var got []string
	for _, line := range s.published() {
		if name := strings.TrimPrefix(line, "$SYS/broker/"); strings.HasPrefix(name, "limits/") || strings.HasPrefix(name, "memory/") {
			got = append(got, name)
		}
	}
	sort.Strings(got)
	if last := len(got) - 1; strings.HasPrefix(got[last], "memory/used=8") {
		got[last] = "memory/used=8…"
	}
	want := "[limits/memory-limit=1 limits/subscriptions-max=1 memory/held/told=0 memory/held/turns=0 memory/held=0 memory/level=2 memory/limit=1000000 memory/purged=0 memory/shed=0 memory/trims=0 memory/used=8…]"
	if fmt.Sprint(got) != want {
		t.Errorf("got %v, want %s", got, want)
	}
}

// What is told of limits is there for who subscribes, also where nothing more is
// retained of clients, and what it says are clients.
func TestSysBesideARetainedBomb(t *testing.T) {
	w := newWorld(t, router.Limits{RetainedMessagesMax: 1})
	c := w.join("c")
	c.send("31 04 0001 'a' 'x' 31 04 0001 'b' 'x' 31 04 0001 'd' 'x'")
	first := w.join("s")
	first.send("82 0b 0001 0006 '$SYS/#' 00")
	w.settle()
	w.sleep(10)
	second := w.join("t")
	second.send("82 2d 0001 0028 '$SYS/broker/limits/retained-messages-max' 00")
	w.settle()
	second.expect("90 03 0001 00 31 2b 0028 '$SYS/broker/limits/retained-messages-max' '2'")
}

// TestSysAfterAReload: a shorter interval holds at once, and nothing goes on to tell
// of a memory limit that was taken away.
func TestSysAfterAReload(t *testing.T) {
	w := newWorld(t, router.Limits{SysInterval: time.Hour, MemoryBytesMax: 1_000_000})
	c := w.join("c")
	c.send("82 1d 0001 0018 '$SYS/broker/memory/limit' 00")
	c.expect("90 03 0001 00 31 21 0018 '$SYS/broker/memory/limit' '1000000'")
	w.pass(func() { w.r.Change(router.Config{Limits: router.Limits{SysInterval: time.Second}}) })
	w.sleep(1)
	c.expect("30 1b 0018 '$SYS/broker/memory/limit' '0'")
}
