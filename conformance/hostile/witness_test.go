package hostile

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"sync"
	"time"
)

// witness is a client that talks to itself with QoS 1 and notes how long that takes. It must never miss a message.
type witness struct {
	peer *peer
	stop chan struct{}
	done sync.WaitGroup

	mu    sync.Mutex
	trips []time.Duration
	slow  func(time.Duration) // called for each round trip of more than slowTrip; may be nil
	err   error
}

// slowTrip is a round trip that is worth a line.
const slowTrip = 100 * time.Millisecond

// pace is how often the witness speaks.
const pace = 2 * time.Millisecond

func newWitness(addr string) (*witness, error) {
	c, err := dialTCP(addr)
	if err != nil {
		return nil, err
	}
	w := &witness{peer: &peer{Conn: c, door: &doors[0]}, stop: make(chan struct{})}
	w.peer.say(connect("witness", 60), subscribe(1, "witness", 1))
	if k, s := w.peer.next(patience), w.peer.next(patience); !bytes.Equal(k, hx("20 02 00 00")) || !bytes.Equal(s, hx("90 03 00 01 01")) {
		return nil, fmt.Errorf("witness: got % x and % x", k, s)
	}
	w.done.Go(w.watch)
	return w, nil
}

// watch sends one message after the other and waits for each.
func (w *witness) watch() {
	tick := time.NewTicker(pace)
	defer tick.Stop()
	for n := uint64(1); ; n++ {
		select {
		case <-w.stop:
			return
		case <-tick.C:
		}
		id := int(n%65535) + 1
		start := time.Now()
		w.peer.say(message(0x32, id, "witness", string(binary.BigEndian.AppendUint64(nil, n))))
		if err := w.hear(n, id); err != nil {
			w.mu.Lock()
			w.err = fmt.Errorf("the witness's message %d: %w", n, err)
			w.mu.Unlock()
			return
		}
		trip := time.Since(start)
		w.mu.Lock()
		if w.slow != nil && trip > slowTrip {
			w.slow(trip)
		}
		w.trips = append(w.trips, trip)
		w.mu.Unlock()
	}
}

// hear awaits message n and its PUBACK, and acknowledges it.
func (w *witness) hear(n uint64, id int) error {
	for acked, came := false, false; !acked || !came; {
		k := w.peer.next(patience)
		switch {
		case k == nil && w.peer.over:
			return fmt.Errorf("connection closed")
		case k == nil:
			return fmt.Errorf("lost: nothing came for %v", patience)
		case bytes.Equal(k, ack(0x40, id)):
			acked = true
		case k[0] == 0x32 && len(k) == 21 && binary.BigEndian.Uint64(k[13:]) == n:
			came = true
			w.peer.say(append([]byte{0x40, 2}, k[11:13]...))
		default:
			return fmt.Errorf("got % x", k)
		}
	}
	return nil
}

// take returns the round trips since the last call, and what went wrong.
func (w *witness) take() (trips []time.Duration, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	trips, w.trips = w.trips, nil
	return trips, w.err
}

func (w *witness) end() {
	close(w.stop)
	w.done.Wait()
	w.peer.Close()
}

// quantile sorts trips; they are not empty.
func quantile(trips []time.Duration, q float64) time.Duration {
	slices.Sort(trips)
	return trips[int(q*float64(len(trips)-1))]
}

// figures are quantiles of round trips, for people.
func figures(trips []time.Duration) string {
	if len(trips) == 0 {
		return "none"
	}
	at := func(q float64) time.Duration { return quantile(trips, q).Round(10 * time.Microsecond) }
	return fmt.Sprintf("%d round trips, p50 %v, p99 %v, p99.9 %v, most %v", len(trips), at(.5), at(.99), at(.999), at(1))
}
