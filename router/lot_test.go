package router_test

import (
	"fmt"
	"testing"

	"github.com/loopmq/loopmq/router"
	"github.com/loopmq/loopmq/store"
)

// lots is a publisher and two subscribers of t whose sessions last.
func lots(t *testing.T) (d *durable, p, a, b *fakeConn) {
	d = newDurable(t, router.Limits{})
	a, b, p = d.session("a"), d.session("b"), d.connect("p", true)
	for _, s := range []*fakeConn{a, b} {
		s.send("82 06 00 01 00 01 't' 01")
	}
	d.flush()
	d.sleep(2)
	d.flush()
	b.send("82 06 00 01 00 01 't' 01")
	d.sleep(0.001) // so long takes the last commit
	d.flush()
	for _, c := range []*fakeConn{a, b, p} {
		c.take()
	}
	return d, p, a, b
}

// flow publishes n messages in one pass, with PacketIDs from first on.
func (c *fakeConn) flow(first, n int) {
	var all []byte
	for i := range n {
		all = append(all, wire(0x32, str("t"), fmt.Sprintf("\x00%c", first+i), "m")...)
	}
	c.feed(all)
}

// acks acknowledges n messages, from PacketID first on, or stands for them.
func acks(first, n int) (hex string) {
	for i := range n {
		hex += fmt.Sprintf(" 40 02 00 %02x", first+i)
	}
	return hex
}

func TestPubackWhenAllHaveAcknowledged(t *testing.T) {
	d, p, a, b := lots(t)
	p.flow(1, 1)
	p.flow(2, 1)
	if !d.mem.Committing() {
		t.Fatal("a lone message waits")
	}
	a.send(acks(1, 2))
	b.send(acks(2, 1))
	p.expect("") // the second is on nobody's mind, but the first is, and answers keep their order
	b.send(acks(1, 1))
	p.expect(acks(1, 2))
	d.flush()
	p.expect("")
}

func TestPubackOfWhatIsRetainedWaitsForTheDisk(t *testing.T) {
	d, p, a, b := lots(t)
	p.send("33 06 00 01 't' 00 01 'm'")
	a.send(acks(1, 1))
	b.send(acks(1, 1))
	p.expect("")
	d.commit()
	p.expect(acks(1, 1))
}

// TestPubackAfterASessionEnds: that a session has ended is not an acknowledgement.
// It may be there again after a crash, and then the message is owed to it.
func TestPubackAfterASessionEnds(t *testing.T) {
	d, p, a, b := lots(t)
	p.flow(1, 1)
	a.send(acks(1, 1))
	b.reset()
	d.connect("b", true)
	p.expect("")
	d.flush()
	p.expect(acks(1, 1))
}

func TestPubackWhileTheStoreIsFull(t *testing.T) {
	d, p, a, b := lots(t)
	p.flow(1, 1)
	d.pass(func() { d.mem.Complete(store.ErrFull) })
	a.send(acks(1, 1))
	b.send(acks(1, 1))
	p.expect("")
	d.sleep(1.1)
	d.flush()
	p.expect(acks(1, 1))
}

func TestBatchWaitsForAcknowledgements(t *testing.T) {
	d, p, a, b := lots(t)
	before := d.mem.Stats().Records
	for i := range 3 { // who keeps up is waited for every time
		p.flow(1, 8)
		if d.mem.Committing() {
			t.Fatal("the batch leaves before anybody could acknowledge it")
		}
		d.sleep(0.001)
		a.send(acks(1+8*i, 8))
		b.send(acks(1+8*i, 8))
		p.expect(acks(1, 8))
	}
	d.sleep(2)
	if n := d.mem.Stats().Records; n != before {
		t.Errorf("%d records were written", n-before)
	}
}

func TestBatchDoesNotWaitForLong(t *testing.T) {
	d, p, a, b := lots(t)
	id := 1
	waits := func() bool {
		p.flow(1, 8)
		waits := !d.mem.Committing()
		d.settle()
		d.sleep(0.0201)
		if !d.mem.Committing() {
			t.Fatal("the batch waits for more than 20 milliseconds")
		}
		d.sleep(0.001)
		d.flush()
		p.expect(acks(1, 8))
		a.send(acks(id, 8))
		b.send(acks(id, 8))
		id += 8
		d.sleep(1.1) // the removals
		d.sleep(0.001)
		d.flush()
		return waits
	}
	// Nobody acknowledges in time: fewer and fewer wait for it.
	for i, want := range []bool{true, false, true, false, false, true, false, false, false, false, true} {
		if got := waits(); got != want {
			t.Errorf("batch %d waits: %v", i, got)
		}
	}
}

func TestBatchOfWhatWaitsInAQueueLeavesAtOnce(t *testing.T) {
	d, p, _, b := lots(t)
	b.reset()
	d.settle()
	d.sleep(0.001) // so long takes the last commit
	d.flush()
	p.flow(1, 8)
	if !d.mem.Committing() {
		t.Error("the batch waits for a client that is not there")
	}
}

// TestBatchThatIsFullDoesNotWait: publishers are held back until it has left.
func TestBatchThatIsFullDoesNotWait(t *testing.T) {
	d, p, _, _ := lots(t)
	d.mem.BatchBytes = 300
	p.flow(1, 8)
	if held := d.r.Lists().Held; !d.mem.Committing() || held != 0 {
		t.Errorf("on its way: %v; %d publishers are held back", d.mem.Committing(), held)
	}
}

// TestAcknowledgementsOfTheBatchBefore are nothing that the next has waited for.
func TestAcknowledgementsOfTheBatchBefore(t *testing.T) {
	d, p, a, b := lots(t)
	p.flow(1, 3) // leaves at once
	p.flow(4, 8)
	for _, c := range []*fakeConn{a, b} {
		c.send(acks(1, 3))
	}
	d.sleep(0.001)
	d.commit()
	d.settle()
	if d.mem.Committing() {
		t.Fatal("eight messages do not wait")
	}
	d.sleep(0.0201)
	if !d.mem.Committing() {
		t.Fatal("the batch waits for more than 20 milliseconds")
	}
	d.sleep(0.001)
	d.flush()
	for _, c := range []*fakeConn{a, b} {
		c.send(acks(4, 8))
	}
	d.sleep(1.1) // the removals
	d.sleep(0.001)
	d.flush()
	p.flow(12, 8)
	if !d.mem.Committing() {
		t.Error("the wait was in vain, and the next batch waits all the same")
	}
}
