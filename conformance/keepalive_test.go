package conformance

import (
	"testing"
	"time"
)

// TestKeepAlive closes at one and a half times the keep alive, as if the
// network had failed, and only then. The silent client of 3 s is the clock of
// those that must stay: they speak in time on a slow machine, too.
func TestKeepAlive(t *testing.T) {
	t.Parallel()
	each(t, options{}, func(t *testing.T, tg target) {
		watch := join(t, tg, "watch", clean).subscribed("will", 0)
		never := join(t, tg, "never", clean, keepAlive(0))
		half := join(t, tg, "half", clean, keepAlive(1)).send("30 7f 00 01")
		start := time.Now()
		silent := join(t, tg, "silent", clean, keepAlive(1), will(0, "will", "timed out"))
		clock := join(t, tg, "clock", clean, keepAlive(3))
		pinging := join(t, tg, "pinging", clean, keepAlive(2))
		publishing := join(t, tg, "publishing", clean, keepAlive(2))
		during := func(until *conn, from time.Duration) {
			t.Helper()
			for until.quietFor(400 * time.Millisecond) {
				pinging.send(pingreq).expect(pingresp)
				publishing.send(pub1(1, "x", "")).expect(puback(1))
				if time.Since(start) > 5*from {
					t.Fatalf("%s is not closed after %v", until.name, time.Since(start))
				}
			}
			until.expectClosed()
			if d := time.Since(start); d < from {
				t.Errorf("%s is closed after %v, less than %v", until.name, d, from)
			}
		}
		during(silent, 1500*time.Millisecond)
		watch.expect(pub0("will", "timed out"))
		half.expectClosed()
		during(clock, 4500*time.Millisecond)
		never.expectNothing()
		pinging.leave()
		publishing.leave()
	})
}

// quietFor waits for something to arrive or the connection to end, and reports
// whether d passed without.
func (c *conn) quietFor(d time.Duration) bool {
	end := time.Now().Add(d)
	err := c.fill(d)
	return err != nil && len(c.in) == 0 && !time.Now().Before(end)
}

// TestKeepAliveCountsPackets: bytes that make no packet do not keep a
// connection, whatever the rate at which they drip.
func TestKeepAliveCountsPackets(t *testing.T) {
	t.Parallel()
	each(t, options{}, func(t *testing.T, tg target) {
		start := time.Now()
		c := join(t, tg, "a", clean, keepAlive(1))
		c.sendAndGo("30 7f 00 01 61")
		for c.quietFor(300 * time.Millisecond) {
			if time.Since(start) > 4*time.Second {
				t.Fatal("a packet that never ends keeps its connection")
			}
			c.sendAndGo("00")
		}
		c.expectClosed()
	})
}
