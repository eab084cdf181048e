//go:build linux

package bench

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// turn publishes and receives until the time is over. Each publisher sends at
// most quota messages in all.
//
// hot: no allocation.
func (r *run) turn(until time.Time, quota int64) error {
	for {
		for i := range r.sets {
			if err := r.pump(&r.sets[i], quota); err != nil {
				return err
			}
		}
		if err := r.poll(10); err != nil {
			return err
		}
		if !time.Now().Before(until) {
			return nil
		}
	}
}

// unlimited is a quota that no run reaches.
const unlimited = 1 << 62

// finish publishes nothing more, but for the rest of frames that were begun,
// and receives what is under way.
func (r *run) finish() error {
	r.stop = true
	if err := r.wholeFrames(); err != nil {
		return err
	}
	return r.drain(0)
}

// drain goes on until the quota is published, if there is one, and all that was
// published has arrived, or nothing has for Options.Quiet.
func (r *run) drain(quota int64) error {
	quiet := time.Now()
	for {
		before := r.got
		if err := r.turn(time.Time{}, quota); err != nil {
			return err
		}
		if r.done(quota) {
			return nil
		}
		if now := time.Now(); r.got != before {
			quiet = now
		} else if now.Sub(quiet) > r.Quiet {
			return nil
		}
	}
}

func (r *run) done(quota int64) bool {
	sent := r.published()
	if !r.stop && sent < quota*int64(r.Publishers*r.shape.frameBytes) {
		return false
	}
	if r.got < sent*r.fanOut() {
		return false
	}
	return r.QoS == 0 || r.unacked() == 0
}

func (r *run) unacked() (messages int64) {
	for i := range r.sets {
		for k := range r.sets[i].publishers {
			p := &r.sets[i].publishers[k]
			messages += p.sent/p.frame - p.acked
		}
	}
	return messages
}

// wholeFrames lets each publisher finish the frame that it has begun.
func (r *run) wholeFrames() error {
	patience := time.Now().Add(r.Quiet)
	for i := range r.sets {
		for k := range r.sets[i].publishers {
			p := &r.sets[i].publishers[k]
			for p.sent%p.frame != 0 {
				if err := p.send(p.frame - p.sent%p.frame); err != nil {
					return err
				}
				if err := r.poll(1); err != nil {
					return err
				}
				if time.Now().After(patience) {
					return fmt.Errorf("the broker stopped reading for %s", r.Quiet)
				}
			}
		}
	}
	return nil
}

// pump lets the publishers of a group send as much as their bounds permit. Each
// waits for a quarter of its lead to be free, so that writes stay large.
//
// hot: no allocation.
func (r *run) pump(g *group, quota int64) error {
	frame := int64(r.shape.frameBytes)
	lead := max(int64(r.AheadBytes)/frame, 2) * frame
	if r.QoS > 0 {
		lead = min(lead, int64(r.WindowMessages)*4*frame)
	}
	free := g.reached() + lead*int64(len(g.publishers)) - g.sent()
	for k := range g.publishers {
		p := &g.publishers[k]
		if len(p.control) > 0 && !p.blocked {
			if err := p.send(0); err != nil {
				return err
			}
		}
		room := min(lead, free)
		if p.blocked || r.stop || room < lead/4 {
			continue
		}
		if r.QoS > 0 {
			room = min(room, (p.acked+int64(r.WindowMessages))*frame-p.sent)
		}
		if quota < unlimited {
			room = min(room, quota*frame-p.sent)
		}
		before := p.sent
		if err := p.send(room); err != nil {
			return err
		}
		free -= p.sent - before
	}
	return nil
}

// poll waits for events and handles them.
//
// hot: no allocation.
func (r *run) poll(milliseconds int) error {
	n, err := unix.EpollWait(r.epoll, r.events, milliseconds)
	if err == unix.EINTR {
		return nil
	}
	if err != nil {
		return fmt.Errorf("epoll_wait: %w", err)
	}
	for i := range r.events[:max(n, 0)] {
		ev := &r.events[i]
		g := &r.sets[ev.Fd]
		if ev.Pad >= 0 {
			s := &g.subs[ev.Pad]
			before := s.got
			if err := s.receive(r.buf, &r.shape); err != nil {
				return err
			}
			r.got += s.got - before
			g.got += s.got - before
			continue
		}
		p := &g.publishers[-1-ev.Pad]
		if ev.Events&unix.EPOLLOUT != 0 {
			p.blocked = false
		}
		if ev.Events&^unix.EPOLLOUT != 0 {
			if err := p.receive(r.buf); err != nil {
				return err
			}
		}
	}
	r.tell()
	return nil
}
