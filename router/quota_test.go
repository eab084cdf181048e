package router_test

import (
	"fmt"
	"testing"

	"github.com/loopmq/loopmq/router"
	"github.com/loopmq/loopmq/store"
)

// quotas lets everybody in with a quota by user name.
type quotas map[string]router.Quota

func (q quotas) Authenticate(cr *router.Credentials, done func(router.Verdict)) {
	done(router.Verdict{Identity: &router.Identity{User: cr.Username}, Quota: q[cr.Username]})
}

func TestRateOfMessagesIn(t *testing.T) {
	w := newWorld(t, router.Limits{})
	w.listener.Authenticator = quotas{"slow": {MessagesIn: 2}}
	s := w.as("any", "s", true)
	s.expect("20 02 00 00")
	s.send("82 06 0001 0001 't' 00")
	s.expect("90 03 0001 00")
	c := w.as("slow", "c", true)
	c.expect("20 02 00 00")
	c.send("30 04 0001 't' '1' 30 04 0001 't' '2' 30 04 0001 't' '3' c0 00")
	s.expect("30 04 0001 't' '1' 30 04 0001 't' '2'") // a second's worth at once, the rest is not read
	c.expect("")
	w.sleep(0.4)
	c.feed(nil)
	s.expect("")
	w.sleep(0.2) // one more after half a second
	c.feed(nil)
	s.expect("30 04 0001 't' '3'")
	w.sleep(0.6)
	c.feed(nil)
	c.expect("d0 00")
	if n := w.r.Stats().OverQuota; n == 0 {
		t.Error("not counted")
	}
}

func TestRateOfBytesIn(t *testing.T) {
	w := newWorld(t, router.Limits{})
	w.listener.Authenticator = quotas{"slow": {BytesIn: 10}}
	c := w.as("slow", "c", true)
	c.expect("20 02 00 00")
	c.send("30 0c 0001 't' '123456789' c0 00") // 14 bytes: 4 more than a second's worth
	c.expect("")
	w.sleep(0.3)
	c.feed(nil)
	c.expect("")
	w.sleep(0.3)
	c.feed(nil)
	c.expect("d0 00")
}

// What is sent too fast waits: QoS 1 in the queue, of QoS 0 the latest.
func TestRateOfMessagesOut(t *testing.T) {
	w := newWorld(t, router.Limits{LateBytesMax: 2 * (64 + 2)})
	w.listener.Authenticator = quotas{"slow": {MessagesOut: 1}}
	c := w.as("slow", "c", true)
	c.expect("20 02 00 00")
	c.send("82 0a 0001 0001 'a' 01 0001 'z' 00")
	c.expect("90 04 0001 01 00")
	p := w.as("any", "p", true)
	p.expect("20 02 00 00")
	for i := range 3 {
		p.send(fmt.Sprintf("32 06 0001 'a' %04x '%d'", i+1, i))
	}
	c.expect("32 06 0001 'a' 0001 '0'")
	for i := range 2 {
		w.sleep(1.1)
		c.expect(fmt.Sprintf("32 06 0001 'a' %04x '%d'", i+2, i+1))
	}
	w.sleep(2)
	for i := range 4 {
		p.send(fmt.Sprintf("30 04 0001 'z' '%d'", i))
	}
	c.expect("30 04 0001 'z' '0'")
	w.sleep(1.1)
	c.expect("30 04 0001 'z' '2'") // 1 was dropped, the oldest
	w.sleep(1.1)
	c.expect("30 04 0001 'z' '3'")
	for range 100 {
		w.sleep(1) // waiting for us is not being stuck
	}
	if c.closing {
		t.Error("disconnected for our own slowness")
	}
}

// What a full output refuses has not left, and costs nothing of the rate.
func TestRateOutOfWhatIsRefused(t *testing.T) {
	w := newWorld(t, router.Limits{})
	w.listener.Authenticator = quotas{"slow": {BytesOut: 20}}
	c := w.as("slow", "c", true)
	c.expect("20 02 00 00")
	c.send("82 06 0001 0001 'z' 00")
	c.expect("90 03 0001 00")
	p := w.as("any", "p", true)
	p.expect("20 02 00 00")
	c.limit = 14
	p.send("30 0c 0001 'z' '123456789'")
	p.send("30 0c 0001 'z' 'abcdefghi'") // no room for it
	c.expect("30 0c 0001 'z' '123456789'")
	c.expect("30 0c 0001 'z' 'abcdefghi'")
	if n := w.r.Stats().OverQuota; n != 0 {
		t.Errorf("%d times over the quota", n)
	}
}

func TestQuotaOfConnections(t *testing.T) {
	w := newWorld(t, router.Limits{})
	w.listener.Authenticator = quotas{"u": {Connections: 2}}
	first := w.as("u", "1", true)
	first.expect("20 02 00 00")
	w.as("u", "2", true).expect("20 02 00 00")
	w.as("u", "3", true).expect("20 02 00 03")
	w.as("any", "4", true).expect("20 02 00 00")
	first.reset()
	w.as("u", "5", true).expect("20 02 00 00")
	w.as("u", "6", true).expect("20 02 00 03")
	if n := w.r.Stats().OverQuota; n != 2 {
		t.Errorf("counted %d times, want 2", n)
	}
}

// Who comes again while the broker still holds the connection of before takes its place, and is not one too many.
func TestQuotaOfConnectionsAtATakeover(t *testing.T) {
	w := newWorld(t, router.Limits{})
	w.listener.Authenticator = quotas{"u": {Connections: 1}}
	first := w.as("u", "1", true)
	first.expect("20 02 00 00")
	w.as("u", "1", true).expect("20 02 00 00")
	first.expectClosed()
	w.as("u", "2", true).expect("20 02 00 03")
	again := w.as("u", "1", true)
	again.expect("20 02 00 00")
	again.reset()
	w.as("u", "2", true).expect("20 02 00 00")
}

// TestUsersWithNothingAreForgotten: the last retained message of a user goes when he
// is gone himself, because somebody else takes it away or its time is over; no pass
// may leave an entry of somebody who has nothing.
func TestUsersWithNothingAreForgotten(t *testing.T) {
	w := newWorld(t, router.Limits{})
	w.listener.Authenticator = quotas{"u": {Retained: 9}}
	other := w.as("any", "o", true)
	other.expect("20 02 00 00")
	for _, end := range []func(){
		func() { other.send("31 03 0001 't'") },
		func() { other.send("31 04 0001 't' 'y'") },
		func() { w.sleep(3) },
	} {
		c := w.dial()
		c.send("10 11 0004 'MQTT' 05 82 0000 00 0001 'c' 0001 'u'")
		c.expect(welcome)
		c.send("31 0a 0001 't' 05 02 00000002 'x'")
		c.reset()
		end()
	}
}

func TestQuotasOfASession(t *testing.T) {
	w := newWorld(t, router.Limits{})
	w.listener.Authenticator = quotas{"u": {Subscriptions: 2, QueuedBytes: 6}}
	c := w.as("u", "c", false)
	c.expect("20 02 00 00")
	c.send("82 0e 0001 0001 'a' 01 0001 'b' 01 0001 'c' 01")
	c.expect("90 05 0001 01 01 80")
	c.reset()
	p := w.as("any", "p", true)
	p.expect("20 02 00 00")
	for i := range 4 {
		p.send(fmt.Sprintf("32 07 0001 'a' %04x '0%d'", i+1, i))
	}
	w.as("u", "c", false).expect("20 02 01 00 32 07 0001 'a' 0001 '02' 32 07 0001 'a' 0002 '03'")
}

func TestQuotaOfRetainedMessages(t *testing.T) {
	w := newWorld(t, router.Limits{})
	w.listener.Authenticator = quotas{"u": {Retained: 2}}
	a, b := w.as("u", "a", true), w.as("u", "b", true)
	a.expect("20 02 00 00")
	b.expect("20 02 00 00")
	a.send("31 04 0001 '1' 'x' 31 04 0001 '2' 'x'")
	b.send("31 04 0001 '3' 'x' 31 04 0001 '1' 'y'") // no third topic; but another value
	if n := w.r.Stats().Retained; n != 2 {
		t.Errorf("%d retained, want 2", n)
	}
	b.send("31 03 0001 '2' 31 04 0001 '3' 'x'") // one goes, one comes
	if n := w.r.Stats().Retained; n != 2 {
		t.Errorf("%d retained, want 2", n)
	}
	s := w.as("any", "s", true)
	s.expect("20 02 00 00")
	s.send("82 06 0001 0001 '+' 00")
	s.settled("90 03 0001 00", "31 04 0001 '1' 'y'", "31 04 0001 '3' 'x'")
}

// TestQuotaOfRetainedMessagesAfterARestart: what a user has retained counts still, and
// is nobody's any more when it is gone.
func TestQuotaOfRetainedMessagesAfterARestart(t *testing.T) {
	d := newDurable(t, router.Limits{})
	connect := func() *fakeConn {
		d.listener.Authenticator = quotas{"u": {Retained: 3}}
		c := d.as("u", "a", true)
		c.expect("20 02 00 00")
		return c
	}
	c := connect()
	c.send("31 04 0001 '1' 'x' 33 06 0001 '2' 0001 'x' 31 04 0001 '3' 'x' 31 04 0001 '4' 'x'")
	d.flush()
	c.expect("40 02 0001")
	d = d.crash(store.FlightLost, 1)
	c = connect()
	c.send("31 04 0001 '4' 'x'")
	if s := d.r.Stats(); s.Retained != 3 || s.OverQuota != 1 {
		t.Errorf("after a restart: %d retained, %d times over the quota", s.Retained, s.OverQuota)
	}
	c.send("31 03 0001 '1' 31 04 0001 '4' 'x' 31 04 0001 '5' 'x'")
	if s := d.r.Stats(); s.Retained != 3 || s.OverQuota != 2 {
		t.Errorf("with another topic: %d retained, %d times over the quota", s.Retained, s.OverQuota)
	}
	c.send("31 03 0001 '2' 31 03 0001 '3' 31 03 0001 '4'")
	c.reset()
	d.flush()
	d.crash(store.FlightLost, 1)
}

// TestQuotaOfRetainedWills: a will that is retained counts like what its user has
// published, also when its session has ended.
func TestQuotaOfRetainedWills(t *testing.T) {
	w := newWorld(t, router.Limits{})
	w.listener.Authenticator = quotas{"u": {Retained: 2}}
	for i := range 5 {
		c := w.dial()
		c.send(fmt.Sprintf("10 16 0004 'MQTT' 04 a6 0000 0001 'c' 0001 '%d' 0001 'x' 0001 'u'", i)) // a will with RETAIN
		c.expect("20 02 00 00")
		c.reset()
	}
	if s := w.r.Stats(); s.WillsSent != 5 || s.Retained != 2 || s.OverQuota != 3 {
		t.Errorf("%d wills, %d are retained, %d times over the quota", s.WillsSent, s.Retained, s.OverQuota)
	}
	five := w.dial() // its will is published when its session ends
	five.send(frame5(t, "10", "0004 'MQTT' 05 a6 0000 05 11 00000001 0001 'd' 05 18 00000009 0001 '6' 0001 'x' 0001 'u'"))
	five.take()
	five.reset()
	w.sleep(1.1)
	if s := w.r.Stats(); s.WillsSent != 6 || s.Retained != 2 || s.OverQuota != 4 {
		t.Errorf("%d wills, %d are retained, %d times over the quota", s.WillsSent, s.Retained, s.OverQuota)
	}
	a := w.as("u", "a", true)
	a.expect("20 02 00 00")
	a.send("31 03 0001 '0' 31 04 0001 '7' 'x' 31 04 0001 '8' 'x'") // one goes, one comes
	if n := w.r.Stats().Retained; n != 2 {
		t.Errorf("%d retained, want 2", n)
	}
}

func TestQuotaTightens(t *testing.T) {
	q := router.Quota{MessagesIn: 5, Connections: 1}
	q.Tighten(router.Quota{MessagesIn: 3, BytesOut: 7, Connections: 2})
	if q != (router.Quota{MessagesIn: 3, BytesOut: 7, Connections: 1}) {
		t.Errorf("%+v", q)
	}
}

// TestRequota: quotas change for those who are connected; who waited for his rate
// goes on at once when it is gone.
func TestRequota(t *testing.T) {
	w := newWorld(t, router.Limits{})
	w.listener.Authenticator = quotas{"slow": {MessagesIn: 1, MessagesOut: 1}}
	c := w.as("slow", "c", true)
	c.expect("20 02 00 00")
	c.send("82 06 0001 0001 't' 00 30 04 0001 't' '1' 30 04 0001 't' '2' 30 04 0001 't' '3' c0 00")
	c.expect("90 03 0001 00 30 04 0001 't' '1'")
	w.pass(func() { w.r.Requota(func(*router.Peer, string) router.Quota { return router.Quota{} }) })
	c.feed(nil)
	w.settle()
	c.expect("30 04 0001 't' '2' 30 04 0001 't' '3' d0 00")
	w.pass(func() {
		w.r.Requota(func(*router.Peer, string) router.Quota { return router.Quota{MessagesIn: 2, Connections: 1} })
	})
	c.send("30 04 0001 't' '1' 30 04 0001 't' '2' 30 04 0001 't' '3' c0 00")
	c.expect("30 04 0001 't' '1' 30 04 0001 't' '2'")
	w.listener.Authenticator = quotas{"slow": {Connections: 1}}
	w.as("slow", "d", true).expect("20 02 00 03")
	w.pass(func() { w.r.Requota(func(*router.Peer, string) router.Quota { return router.Quota{} }) })
	w.as("slow", "d", true).expect("20 02 00 00")
	c.feed(nil)
	c.expect("30 04 0001 't' '3' d0 00")
	w.sleep(5)
}

// TestQuotaOfConnections5: what a client of MQTT 5.0 is told, which one of 3.1.1
// is told by 3 (server unavailable).
func TestQuotaOfConnections5(t *testing.T) {
	w := newWorld(t, router.Limits{})
	w.listener.Authenticator = quotas{"u": {Connections: 1}}
	five := func(id string) *fakeConn {
		c := w.dial()
		c.send(frame5(t, "10", fmt.Sprintf("0004 'MQTT' 05 82 0000 00 0001 '%s' 0001 'u'", id)))
		return c
	}
	five("1").expect(welcome)
	c := five("2")
	c.expect("20 3a 00 97 37 1f 0034 'the user has as many connections as its quota allows'")
	c.expectClosed()
}

// TestQuotaOfSubscriptions5: the third filter of SUBACK says Quota exceeded.
func TestQuotaOfSubscriptions5(t *testing.T) {
	w := newWorld(t, router.Limits{})
	w.listener.Authenticator = quotas{"u": {Subscriptions: 2}}
	c := w.dial()
	c.send("10 11 0004 'MQTT' 05 82 0000 00 0001 'c' 0001 'u'")
	c.expect(welcome)
	c.send("82 0f 0001 00 0001 'a' 00 0001 'b' 00 0001 'c' 00")
	out := c.take()
	if n := len(out); n < 5 || out[0] != 0x90 || string(out[n-3:]) != "\x00\x00\x97" {
		t.Errorf("SUBACK % x", out)
	}
	if n := w.r.Stats().OverQuota; n != 1 {
		t.Errorf("counted %d times, want 1", n)
	}
}
