package hostile

import (
	"fmt"
	"net"
	"strings"
	"sync"
	"time"
)

const (
	floodClients = 50
	floodTime    = 2 * time.Second
)

// floodRows are fifty clients that send as fast as they can what costs them little. Half of them read what comes back.
func floodRows() (rows []attack) {
	add := func(name, door string, send []byte) {
		rows = append(rows, attack{name: "flood: " + name, door: door, slow: true, crowd: func(r *row, d int) error { return r.floods(d, send) }})
	}
	filters := make([]string, 5000)
	for i := range filters {
		filters[i] = string(append(str(fmt.Sprintf("%x", i)), 1))
	}
	add("PINGREQ", "tcp", many(10_000, pingreq))
	add("tiny messages", "tcp", many(10_000, message(0x30, 0, "t", "")))
	add("QoS 2 that is never released", "tcp", many(1000, message(0x34, 7, "t", "x")))
	add("5000 filters again and again", "tcp", packet(0x82, u16(1), []byte(strings.Join(filters, ""))))
	add("pings", "ws wss", many(10_000, frame(0x89, nil)))
	add("long pings", "ws wss", many(1000, frame(0x89, many(125, []byte("x")))))
	add("empty frames", "ws wss", many(10_000, frame(0x82, nil)))
	add("frames of one byte", "ws wss", many(5000, append(frame(0x82, pingreq[:1]), frame(0x82, pingreq[1:])...)))
	return rows
}

// floods has many clients at door d send b again and again.
func (r *row) floods(d int, b []byte) error {
	var all sync.WaitGroup
	failed := make(chan error, floodClients)
	end := time.Now().Add(floodTime)
	for i := range floodClients {
		all.Go(func() {
			p, err := (&row{attack: &attack{at: in4}, s: r.s, id: fmt.Sprint(r.id, "-", i)}).come(d)
			if err != nil {
				failed <- err
				return
			}
			defer p.reset()
			if i%2 == 0 {
				all.Go(func() {
					for p.fill(50*time.Millisecond) == nil && time.Now().Before(end) {
						p.in = tail(p.in)
					}
				})
			}
			for rest := b; time.Now().Before(end); {
				_ = p.SetWriteDeadline(time.Now().Add(50 * time.Millisecond))
				n, err := p.Write(rest)
				if ne, is := err.(net.Error); err != nil && (!is || !ne.Timeout()) {
					return // closed
				}
				if rest = rest[n:]; len(rest) == 0 {
					rest = b
				}
			}
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
