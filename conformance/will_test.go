package conformance

import (
	"fmt"
	"testing"
)

// ends are the ways in which a connection may end without DISCONNECT.
var ends = map[string]func(t *testing.T, tg target, c *conn){
	"reset":        func(_ *testing.T, _ target, c *conn) { c.reset() },
	"end of input": func(_ *testing.T, _ target, c *conn) { c.hangUp() },
	"malformed":    func(_ *testing.T, _ target, c *conn) { c.send("ff 00").expectClosed() },
	"half a packet": func(_ *testing.T, _ target, c *conn) {
		c.send("30 7f 00")
		c.hangUp()
	},
	"takeover": func(t *testing.T, tg target, c *conn) {
		join(t, tg, "dying", clean).leave()
		c.expectClosed()
	},
}

// TestWill with each QoS, retained or not, after each kind of end.
func TestWill(t *testing.T) {
	each(t, options{}, func(t *testing.T, tg target) {
		p := join(t, tg, "p", clean)
		for name, end := range ends {
			cases(t, name, func(t *testing.T) {
				for qos := range byte(3) {
					for _, keep := range []bool{false, true} {
						watch := join(t, tg, "watch", clean).subscribed("will/+", 2)
						opts := []connectOption{clean, will(qos, "will/it", "gone")}
						if keep {
							opts = append(opts, retainWill)
						}
						end(t, tg, join(t, tg, "dying", opts...))
						watch.receive(0x30|qos<<1, "will/it", "gone")
						watch.leave()

						late := join(t, tg, "late", clean).subscribed("will/it", 2)
						if keep {
							late.receive(0x31|qos<<1, "will/it", "gone")
						}
						late.leave()
						p.send(retained(pub0("will/it", ""))).settle()
					}
				}
			})
		}
	})
}

// receive expects a PUBLISH and goes through the acknowledging of its QoS.
func (c *conn) receive(first byte, topic, payload string) {
	c.t.Helper()
	id := c.expectPublish(first, topic, payload)
	switch first >> 1 & 3 {
	case 1:
		c.send(puback(id))
	case 2:
		c.send(pubrec(id)).expect(pubrel(id)).send(pubcomp(id))
	}
}

func TestNoWillAfterDisconnect(t *testing.T) {
	each(t, options{}, func(t *testing.T, tg target) {
		watch := join(t, tg, "watch", clean).subscribed("#", 0)
		join(t, tg, "a", clean, will(1, "will", "not this"), retainWill).leave()
		watch.expectNothing()
		join(t, tg, "late", clean).subscribed("will", 0)
	})
}

// TestNoWillWithoutWillFlag, whatever came before in the session.
func TestNoWillWithoutWillFlag(t *testing.T) {
	each(t, options{}, func(t *testing.T, tg target) {
		watch := join(t, tg, "watch", clean).subscribed("will", 0)
		join(t, tg, "a", will(0, "will", "first")).reset()
		watch.expect(pub0("will", "first"))
		c := resume(t, tg, "a")
		c.send("00 00").expectClosed() // the will went with the connection it belonged to
		watch.expectNothing()
		join(t, tg, "b", clean).send("00 00").expectClosed()
		watch.expectNothing()
	})
}

// TestWillAfterBadDisconnect: one with reserved bits or a body is none.
func TestWillAfterBadDisconnect(t *testing.T) {
	each(t, options{}, func(t *testing.T, tg target) {
		watch := join(t, tg, "watch", clean).subscribed("will", 0)
		for i, bad := range []string{"e1 00", "e2 00", "e8 00", "ef 00", "e0 01 00", "e0 02 00 00"} {
			payload := fmt.Sprint("after ", bad)
			join(t, tg, fmt.Sprint("a", i), clean, will(0, "will", payload)).send(bad).expectClosed()
			watch.expect(pub0("will", payload))
		}
	})
}

func TestWillWithoutPayload(t *testing.T) {
	each(t, options{}, func(t *testing.T, tg target) {
		watch := join(t, tg, "watch", clean).subscribed("will", 0)
		watch.send(retained(pub0("will", "kept"))).expect(pub0("will", "kept"))
		join(t, tg, "a", clean, will(0, "will", ""), retainWill).reset()
		watch.expect(pub0("will", ""))
		join(t, tg, "late", clean).subscribed("will", 0) // it removed what was retained
	})
}

// TestWillIsQueued for a session whose client is absent.
func TestWillIsQueued(t *testing.T) {
	each(t, options{}, func(t *testing.T, tg target) {
		join(t, tg, "away").subscribed("will", 1).leave()
		join(t, tg, "a", clean, will(2, "will", "gone")).send("00 00").expectClosed()
		resume(t, tg, "away").receive(0x32, "will", "gone")
	})
}

// TestWillKeepsBytes: payload and topic are passed on as they are.
func TestWillKeepsBytes(t *testing.T) {
	each(t, options{}, func(t *testing.T, tg target) {
		watch := join(t, tg, "watch", clean).subscribed("#", 0)
		join(t, tg, "a", clean, will(0, "\ufeffw/ü", "\x00\xff\xed\xa0\x80"), user("u")).reset()
		watch.expect(pub0("\ufeffw/ü", "\x00\xff\xed\xa0\x80"))
	})
}

// TestWillOfARefusedConnect is not stored.
func TestWillOfARefusedConnect(t *testing.T) {
	each(t, options{}, func(t *testing.T, tg target) {
		watch := join(t, tg, "watch", clean).subscribed("will", 0)
		dial(t, tg).send(connect("", will(0, "will", "x"))).expect("20 02 00 02").expectClosed()
		dial(t, tg).send(connect("a", clean, will(0, "will", "x"), func(p *connectPacket) { p.level = 9 })).
			expect("20 02 00 01").expectClosed()
		watch.expectNothing()
	})
}
