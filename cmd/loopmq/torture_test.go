package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/loopmq/loopmq/codec"
	"github.com/loopmq/loopmq/internal/testkit"
)

// TestTorture kills a broker with SIGKILL under load, again and again. Nothing
// that it acknowledged may be lost, nothing with QoS 2 may come twice, and a
// retained value is the last that was acknowledged, or newer.
// LOOPMQ_TORTURE is how often; see make torture.
func TestTorture(t *testing.T) {
	rounds := 15
	if s := os.Getenv("LOOPMQ_TORTURE"); s != "" {
		rounds, _ = strconv.Atoi(s)
	} else if testing.Short() {
		rounds = 3
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	addr := testkit.FreeAddr(t)
	args := []string{
		"--listen", "mqtt://" + addr, "--state-dir", filepath.Join(t.TempDir(), "state"), "--log-level", "warn",
		"--queued-messages-max", "1000000", "--queued-bytes-max", "1000000000", "--queued-window-max", "30",
	}
	w := &torture{addr: addr, stop: make(chan struct{})}
	for i := range 3 {
		p := &tortured{id: fmt.Sprint("p", i), w: w, rng: rand.New(rand.NewPCG(seed, uint64(i)))}
		w.publishers = append(w.publishers, p)
		w.run(p.publish)
	}
	for i := range 2 {
		s := &taker{id: fmt.Sprint("s", i), w: w, open: map[uint16]bool{}, got: map[string][]int{}}
		w.takers = append(w.takers, s)
	}
	began, slowest := time.Now(), time.Duration(0)
	for round := range rounds {
		start := time.Now()
		cmd, _ := startServe(t, args...)
		waitListening(t, addr)
		slowest = max(slowest, time.Since(start))
		if (round+1)%100 == 0 {
			t.Logf("%d rounds in %v, the slowest start took %v", round+1, time.Since(began).Round(time.Second), slowest)
		}
		for _, s := range w.takers {
			if round == 0 || rng.IntN(3) > 0 { // else it is away
				s.wanted.Store(true)
			}
			if round == 0 {
				w.run(s.take)
				waitFor(t, "SUBACK", s.subscribed.Load)
			}
		}
		if round == 0 {
			w.go_.Store(true)
		}
		time.Sleep(time.Duration(20+rng.IntN(300)) * time.Millisecond) // the instant of the kill: nothing to wait for
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
		for _, s := range w.takers {
			s.wanted.Store(false)
		}
	}
	startServe(t, args...)
	w.finish(t)
	w.judge(t)
}

// torture is all that takes part.
type torture struct {
	addr       string
	publishers []*tortured
	takers     []*taker
	go_        atomic.Bool  // publish
	acked      atomic.Int64 // messages for the takers
	last       atomic.Bool  // publish nothing new
	stop       chan struct{}
	running    sync.WaitGroup
}

func (w *torture) run(f func()) { w.running.Go(f) }

func (w *torture) stopped() bool {
	select {
	case <-w.stop:
		return true
	default:
		return false
	}
}

// finish lets everybody come to an end.
func (w *torture) finish(t *testing.T) {
	waitListening(t, w.addr)
	w.last.Store(true)
	for _, s := range w.takers {
		s.wanted.Store(true)
	}
	waitFor(t, "acknowledgements of all that was published", func() bool {
		for _, p := range w.publishers {
			if p.waiting() > 0 {
				return false
			}
		}
		return true
	})
	waitFor(t, "all that was acknowledged", func() bool {
		for _, s := range w.takers {
			for _, p := range w.publishers {
				if !s.has("t1/"+p.id, p.done[1]) || !s.has("t2/"+p.id, p.done[2]) {
					return false
				}
			}
		}
		return true
	})
	close(w.stop)
	w.running.Wait()
}

// judge holds what came against what was acknowledged.
func (w *torture) judge(t *testing.T) {
	total, came, again := 0, 0, 0
	for _, p := range w.publishers {
		total += p.done[1] + p.done[2] + p.done[0]
		for _, s := range w.takers {
			next := 1
			for _, n := range s.got["t2/"+p.id] {
				if n != next {
					t.Fatalf("%s: QoS 2 message %d of %s, want %d", s.id, n, p.id, next)
				}
				next++
			}
			newest := 0
			for _, n := range s.got["t1/"+p.id] {
				if n > newest+1 {
					t.Fatalf("%s: QoS 1 message %d of %s behind %d", s.id, n, p.id, newest)
				}
				if n <= newest {
					again++ // a copy of QoS 1, which is allowed
				}
				newest = max(newest, n)
			}
			came += len(s.got["t1/"+p.id]) + len(s.got["t2/"+p.id])
		}
		w.checkRetained(t, p)
	}
	t.Logf("%d messages acknowledged, %d deliveries; 0 lost, 0 copies of QoS 2, %d copies of QoS 1", total, came, again)
}

func (w *torture) checkRetained(t *testing.T, p *tortured) {
	c := w.dial("check-"+p.id, true)
	if c == nil {
		t.Fatal("no connection")
	}
	defer c.Close()
	c.stop = make(chan struct{})
	defer time.AfterFunc(10*time.Second, func() { close(c.stop) }).Stop()
	_, _ = c.Write(encode(0x82, "\x00\x01", text("r/"+p.id), "\x00"))
	err := c.packets(func(k *codec.Packet) error {
		var pub codec.Publish
		if k.Type != codec.TypePublish {
			return nil
		}
		if err := pub.Decode(k, codec.V311); err != nil {
			return err
		}
		if n := number(pub.Payload); n < p.done[0] {
			t.Errorf("retained value %d of %s, %d was acknowledged", n, p.id, p.done[0])
		}
		return errDone
	})
	if !errors.Is(err, errDone) {
		t.Errorf("retained value of %s: %v", p.id, err)
	}
}

var errDone = errors.New("done")

// tortured publishes numbers: with QoS 1 and 2 to topics of their own, and with
// QoS 1 to be retained.
type tortured struct {
	id  string
	w   *torture
	rng *rand.Rand

	mu     sync.Mutex
	nextID uint16
	sent   [3]int // by kind: 0 retained, 1 and 2 the QoS
	done   [3]int
	open   []*outgoing // in the order of sending
}

type outgoing struct {
	id       uint16
	kind     int
	n        int
	body     []byte
	received bool // PUBREC came
}

const (
	tortureWindow  = 20
	tortureBacklog = 50_000
)

// behind tells whether a taker has a long backlog.
func (w *torture) behind() bool {
	return slices.ContainsFunc(w.takers, func(s *taker) bool { return w.acked.Load()-s.taken.Load() > tortureBacklog })
}

func (p *tortured) waiting() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.open)
}

func (p *tortured) publish() {
	for !p.w.stopped() {
		if !p.w.go_.Load() {
			time.Sleep(time.Millisecond)
			continue
		}
		c := p.w.dial(p.id, false)
		if c == nil {
			continue
		}
		p.again(c)
		p.more(c)
		_ = c.packets(func(k *codec.Packet) error {
			p.acknowledged(c, k)
			p.more(c)
			return nil
		})
		c.Close()
	}
}

// again repeats what an earlier connection left open.
func (p *tortured) again(c *wireConn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, o := range p.open {
		if o.received {
			_, _ = c.Write([]byte{0x62, 2, byte(o.id >> 8), byte(o.id)})
		} else {
			_, _ = c.Write(o.frame(p.id, true))
		}
	}
}

// more fills the window.
func (p *tortured) more(c *wireConn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.w.behind() { // until the next round: else each start would take longer than the one before
		return
	}
	for len(p.open) < tortureWindow && !p.w.last.Load() {
		o := &outgoing{kind: p.rng.IntN(3)}
		p.sent[o.kind]++
		for used := true; used; {
			p.nextID = p.nextID%50 + 1 // few, so that they come again soon
			used = false
			for _, other := range p.open {
				used = used || other.id == p.nextID
			}
		}
		o.id, o.n = p.nextID, p.sent[o.kind]
		size := p.rng.IntN(100)
		if p.rng.IntN(20) == 0 {
			size = p.rng.IntN(20_000)
		}
		o.body = append([]byte(strconv.Itoa(o.n)+" "), bytes.Repeat([]byte{'.'}, size)...)
		p.open = append(p.open, o)
		_, _ = c.Write(o.frame(p.id, false))
	}
}

func (o *outgoing) frame(from string, dup bool) []byte {
	topic := [...]string{"r/", "t1/", "t2/"}[o.kind] + from
	first := [...]byte{0x33, 0x32, 0x34}[o.kind]
	if dup {
		first |= 8
	}
	return encode(first, text(topic), string([]byte{byte(o.id >> 8), byte(o.id)}), string(o.body))
}

// acknowledged takes an answer.
func (p *tortured) acknowledged(c *wireConn, k *codec.Packet) {
	p.mu.Lock()
	defer p.mu.Unlock()
	id := binary.BigEndian.Uint16(k.Body)
	for i, o := range p.open {
		if o.id != id {
			continue
		}
		switch {
		case k.Type == codec.TypePubrec && o.kind == 2:
			o.received = true
			_, _ = c.Write([]byte{0x62, 2, byte(id >> 8), byte(id)})
		case k.Type == codec.TypePuback && o.kind != 2, k.Type == codec.TypePubcomp && o.kind == 2:
			p.done[o.kind] = max(p.done[o.kind], o.n)
			p.w.acked.Add(int64(min(o.kind, 1)))
			p.open = append(p.open[:i], p.open[i+1:]...)
		}
		return
	}
}

// taker subscribes, and remembers what a client must.
type taker struct {
	id         string
	w          *torture
	wanted     atomic.Bool // be connected
	subscribed atomic.Bool
	taken      atomic.Int64

	mu   sync.Mutex
	open map[uint16]bool // QoS 2, PUBREL has not come
	got  map[string][]int
}

// has tells whether n messages of topic have come, the last of them too.
func (s *taker) has(topic string, n int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if slices.Contains(s.got[topic], n) {
		return true
	}
	return n == 0
}

func (s *taker) take() {
	for !s.w.stopped() {
		if !s.wanted.Load() {
			time.Sleep(time.Millisecond)
			continue
		}
		c := s.w.dial(s.id, false)
		if c == nil {
			continue
		}
		if !s.subscribed.Load() {
			_, _ = c.Write(encode(0x82, "\x00\x01", text("t1/+"), "\x01", text("t2/+"), "\x02"))
		}
		_ = c.packets(func(k *codec.Packet) error { return s.packet(c, k) })
		c.Close()
	}
}

func (s *taker) packet(c *wireConn, k *codec.Packet) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch k.Type {
	case codec.TypeSuback:
		s.subscribed.Store(true)
	case codec.TypePubrel:
		delete(s.open, binary.BigEndian.Uint16(k.Body))
		_, _ = c.Write([]byte{0x70, 2, k.Body[0], k.Body[1]})
	case codec.TypePublish:
		var p codec.Publish
		if err := p.Decode(k, codec.V311); err != nil {
			return err
		}
		answer := byte(0x40)
		if p.QoS == 2 {
			answer = 0x50
		}
		if !s.open[p.PacketID] {
			s.taken.Add(1)
			s.got[string(p.Topic)] = append(s.got[string(p.Topic)], number(p.Payload))
		}
		if p.QoS == 2 {
			s.open[p.PacketID] = true
		}
		_, _ = c.Write([]byte{answer, 2, byte(p.PacketID >> 8), byte(p.PacketID)})
	}
	return nil
}

func number(payload []byte) int {
	first, _, _ := strings.Cut(string(payload), " ")
	n, err := strconv.Atoi(first)
	if err != nil {
		return -1
	}
	return n
}

func waitListening(t *testing.T, addr string) {
	t.Helper()
	waitFor(t, "the broker", func() bool {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
}

func waitFor(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}
