package hostile

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"sync/atomic"
	"time"
)

// witnessEnv tells a test binary to be the witness, of the broker at this address.
const witnessEnv = "LOOPMQ_TEST_WITNESS"

// pace is how often the witness speaks.
const pace = 2 * time.Millisecond

// trip is a round trip of the witness.
type trip struct {
	Start int64         // ns of the wall clock, which witness and attackers share
	Took  time.Duration // until the message and its PUBACK were there
}

// testimony is all that a witness has to say.
type testimony struct {
	Trips []trip
	Lost  string // what went wrong; "": nothing
}

// witness is a process that talks to itself with QoS 1, by way of the broker, and notes how long that takes. It must
// never miss a message. It has a process of its own, so that it competes with nobody for anything but the broker, and in
// it one thread that waits in the kernel itself: others, which Go would wake for it, would take processors from the broker.
type witness struct {
	cmd  *exec.Cmd
	prio string // what it says of its priority
	stop io.Closer
	out  *bufio.Reader
}

func newWitness(addr string) (*witness, error) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), witnessEnv+"="+addr)
	cmd.Stderr = os.Stderr
	stop, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	w := &witness{cmd: cmd, stop: stop, out: bufio.NewReader(out)}
	if w.prio, err = w.out.ReadString('\n'); err != nil { // it is subscribed
		stop.Close()
		return nil, errors.Join(errors.New("the witness did not start"), err, cmd.Wait())
	}
	return w, nil
}

// end ends the witness and returns what it has seen.
func (w *witness) end() (t testimony, err error) {
	w.stop.Close()
	err = json.NewDecoder(w.out).Decode(&t)
	return t, errors.Join(err, w.cmd.Wait())
}

// testify is the witness's process. It ends with its input.
func testify(addr string) error {
	runtime.LockOSThread()
	c, err := dialWaiting(addr)
	if err != nil {
		return err
	}
	e := &ear{c: c, r: bufio.NewReader(c)}
	for _, ask := range []struct{ send, want []byte }{
		{connect("witness", 60), hx("20 02 00 00")}, {subscribe(1, "witness", 1), hx("90 03 00 01 01")},
	} {
		if k, err := e.exchange(ask.send); err != nil || !bytes.Equal(k, ask.want) {
			return fmt.Errorf("witness: got % x, %w", k, err)
		}
	}
	fmt.Println(prompt())
	var ended atomic.Bool
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		ended.Store(true)
	}()
	return json.NewEncoder(os.Stdout).Encode(e.watch(&ended))
}

// ear is the witness's end of its connection.
type ear struct {
	c io.Writer
	r *bufio.Reader
	k [64]byte // the last packet
}

// watch sends one message after the other and waits for each.
func (e *ear) watch(ended *atomic.Bool) (t testimony) {
	t.Trips = make([]trip, 0, 1<<18)
	var body [8]byte
	for n := uint64(1); !ended.Load(); n++ {
		doze(pace)
		id := int(n%65535) + 1
		binary.BigEndian.PutUint64(body[:], n)
		send := message(0x32, id, "witness", string(body[:]))
		start := time.Now()
		err := e.hear(send, n, id)
		if err != nil {
			t.Lost = fmt.Sprintf("the witness's message %d: %v", n, err)
			return t
		}
		t.Trips = append(t.Trips, trip{start.UnixNano(), time.Since(start)})
	}
	return t
}

// hear sends message n, awaits it and its PUBACK, and acknowledges it.
func (e *ear) hear(send []byte, n uint64, id int) error {
	k, err := e.exchange(send)
	for acked, came := false, false; ; k, err = e.next() {
		switch {
		case err != nil:
			return err
		case bytes.Equal(k, ack(0x40, id)):
			acked = true
		case k[0] == 0x32 && len(k) == 21 && binary.BigEndian.Uint64(k[13:]) == n:
			came = true
			if _, err := e.c.Write([]byte{0x40, 2, k[11], k[12]}); err != nil {
				return err
			}
		default:
			return fmt.Errorf("got % x", k)
		}
		if acked && came {
			return nil
		}
	}
}

// exchange sends b and returns what comes next.
func (e *ear) exchange(b []byte) ([]byte, error) {
	if _, err := e.c.Write(b); err != nil {
		return nil, err
	}
	return e.next()
}

// next returns the next packet, which is a short one. It holds until the next call.
func (e *ear) next() ([]byte, error) {
	if _, err := io.ReadFull(e.r, e.k[:2]); err != nil {
		return nil, err
	}
	k := e.k[:2+min(int(e.k[1]), len(e.k)-2)]
	_, err := io.ReadFull(e.r, k[2:])
	return k, err
}

// quantile wants trips in order, and at least one.
func quantile(trips []time.Duration, q float64) time.Duration {
	return trips[int(q*float64(len(trips)-1))]
}

// figures are quantiles of round trips, for people.
func figures(trips []time.Duration) string {
	if len(trips) == 0 {
		return "none"
	}
	slices.Sort(trips)
	at := func(q float64) time.Duration { return quantile(trips, q).Round(10 * time.Microsecond) }
	return fmt.Sprintf("%d round trips, p50 %v, p99 %v, p99.9 %v, most %v", len(trips), at(.5), at(.99), at(.999), at(1))
}
