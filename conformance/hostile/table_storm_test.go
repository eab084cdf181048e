package hostile

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
)

// stormRows are about many connections at once.
func stormRows() (rows []attack) {
	add := func(name string, slow bool, crowd func(r *row, d int) error) {
		rows = append(rows, attack{name: "storm: " + name, crowd: crowd, slow: slow})
	}
	add("1000 connections that say nothing and reset", false, func(r *row, d int) error {
		return r.storm(d, 1000, 50, func(_ int, p *peer) { p.reset() })
	})
	add("2000 bad CONNECTs", true, func(r *row, d int) error {
		return r.storm(d, 2000, 20, func(i int, p *peer) {
			p.say(packet(0x10, str("MQTT"), []byte{5, 0x06}, u16(60), none, str(""), properties(prop(0x11, 0, 0, 0, 0)), str("w"), bytes.Repeat([]byte("x"), i)))
			p.closed()
		})
	})
	add("1000 clients come and go", true, func(r *row, d int) error {
		return r.storm(d, 1000, 20, func(i int, p *peer) {
			_ = p.enter(connect(fmt.Sprint(r.id, "-", i), 60), nil)
			p.say(disconnect)
			p.closed()
		})
	})
	add("300 clients throw each other out", false, func(r *row, d int) error {
		return r.storm(d, 300, 10, func(_ int, p *peer) {
			p.say(connect(r.id, 60), pingreq)
			p.next(patience)
		})
	})
	add("300 wills, all at once", false, func(r *row, d int) error { return r.wills(d, 300) })
	add("3000 persistent sessions", true, func(r *row, d int) error {
		return r.storm(d, 3000, 20, func(i int, p *peer) {
			id := fmt.Sprint(r.id, "-", i)
			_ = p.enter(packet(0x10, str("MQTT"), []byte{4, 0}, u16(60), str(id)), nil)
			p.say(subscribe(1, "session/"+id, 1))
			p.next(patience)
		})
	})
	add("60 sessions away with a full queue each", true, (*row).fullQueues)
	return rows
}

// storm has n connections at door d, so many at a time; each is reset after do.
func (r *row) storm(d, n, atOnce int, do func(i int, p *peer)) error {
	places := make(chan struct{}, atOnce)
	var all sync.WaitGroup
	failed := make(chan error, n)
	for i := range n {
		places <- struct{}{}
		all.Go(func() {
			defer func() { <-places }()
			c, err := doors[d].open(r.s.Addrs[d])
			if err != nil {
				failed <- err
				return
			}
			p := &peer{Conn: c, door: &doors[d]}
			defer p.reset()
			do(i, p)
		})
	}
	all.Wait()
	select {
	case err := <-failed:
		return err
	default:
		return nil
	}
}

// wills has n clients with a will vanish at once, in front of somebody who listens.
func (r *row) wills(d, n int) error {
	p, err := (&row{attack: &attack{at: in4}, s: r.s, id: r.id}).come(d)
	if err != nil {
		return err
	}
	defer p.reset()
	p.say(subscribe(1, "wills/"+r.id+"/#", 0))
	p.next(patience)
	together := make(chan struct{})
	var inside sync.WaitGroup
	inside.Add(n)
	ended := make(chan error, 1)
	go func() {
		ended <- r.storm(d, n, n, func(i int, q *peer) {
			topic := fmt.Sprintf("wills/%s/%d", r.id, i)
			err := q.enter(packet(0x10, str("MQTT"), []byte{4, 0x06}, u16(60), str(fmt.Sprint(r.id, "-", i)), str(topic), str(strings.Repeat("w", 1000))), nil)
			inside.Done()
			if err == nil {
				<-together
			}
		})
	}()
	inside.Wait()
	close(together)
	if err := <-ended; err != nil {
		return err
	}
	for i := range n {
		if k := p.next(patience); len(k) == 0 || k[0] != 0x30 {
			return fmt.Errorf("will %d of %d: got % x", i, n, k)
		}
	}
	return nil
}

// fullQueues fills the queues of sessions whose clients are away, and ends the sessions.
func (r *row) fullQueues(d int) error {
	const sessions = 60
	id := func(i int) string { return fmt.Sprint(r.id, "-", i) }
	if err := r.storm(d, sessions, 10, func(i int, p *peer) {
		_ = p.enter(packet(0x10, str("MQTT"), []byte{4, 0}, u16(60), str(id(i))), nil)
		p.say(subscribe(1, "queues/"+r.id, 1))
		p.next(patience)
	}); err != nil {
		return err
	}
	p, err := (&row{attack: &attack{at: in4}, s: r.s, id: r.id}).come(d)
	if err != nil {
		return err
	}
	defer p.reset()
	p.flood(200, many(20, message(0x32, 7, "queues/"+r.id, strings.Repeat("q", 10_000))))
	if _, ok := p.alive(); !ok {
		return fmt.Errorf("the publisher was closed")
	}
	return r.storm(d, sessions, 10, func(i int, p *peer) { _ = p.enter(connect(id(i), 60), nil) })
}
