//go:build linux

package bench

import (
	"bufio"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"
)

// lines collects a table.
type lines struct{ strings.Builder }

func (l *lines) fields(row int) []string { return strings.Fields(strings.Split(l.String(), "\n")[row]) }

// toy is a broker of the simplest kind, to test the generator: it passes every
// PUBLISH on, but for each loseNth.
type toy struct {
	mu          sync.Mutex
	subscribers map[string][]net.Conn
	clients     map[string]int // CONNECTs by client identifier
	loseNth     int
	corruptNth  int
	seen        int
}

// start serves until the test ends.
func (b *toy) start(t *testing.T) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b.subscribers, b.clients = map[string][]net.Conn{}, map[string]int{}
	var all sync.WaitGroup
	t.Cleanup(func() {
		l.Close()
		all.Wait()
	})
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer c.Close()
				in := bufio.NewReader(c)
				for b.packet(c, in) == nil {
				}
			})
		}
	})
	return l.Addr().(*net.TCPAddr).AddrPort()
}

func (b *toy) packet(c net.Conn, in *bufio.Reader) error {
	first, err := in.ReadByte()
	if err != nil {
		return err
	}
	size, err := binary.ReadUvarint(in)
	if err != nil {
		return err
	}
	body := make([]byte, size)
	if _, err := io.ReadFull(in, body); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	switch first >> 4 {
	case 1:
		b.clients[string(body[12:])]++
		_, err = c.Write([]byte{0x20, 2, 0, 0})
	case 3:
		err = b.publish(c, first, body)
	case 8:
		topic := string(body[4 : len(body)-1])
		b.subscribers[topic] = append(b.subscribers[topic], c)
		_, err = c.Write([]byte{0x90, 3, body[0], body[1], body[len(body)-1]})
	}
	return err
}

func (b *toy) publish(c net.Conn, first byte, body []byte) error {
	b.seen++
	size := int(binary.BigEndian.Uint16(body))
	if first&6 != 0 {
		if _, err := c.Write([]byte{0x40, 2, body[2+size], body[3+size]}); err != nil {
			return err
		}
	}
	if b.loseNth > 0 && b.seen%b.loseNth == 0 {
		return nil
	}
	if b.corruptNth > 0 && b.seen%b.corruptNth == 0 {
		body[len(body)-1] ^= 1
	}
	frame := appendPacket(nil, first, body)
	for _, s := range b.subscribers[string(body[2:2+size])] {
		if _, err := s.Write(frame); err != nil {
			return err
		}
	}
	return nil
}

func small(qos byte) Scenario {
	return Scenario{Name: "small", Publishers: 3, Subscribers: 2, QoS: qos, PayloadBytes: 20, AheadBytes: 4096, WindowMessages: 5}
}

func TestRunDeliversWhatWasAsked(t *testing.T) {
	for _, qos := range []byte{0, 1} {
		addr := (&toy{}).start(t)
		res, err := Run(small(qos), Options{Addr: addr, Deliveries: 3001, Core: -1})
		if err != nil {
			t.Fatal(err)
		}
		// 3 topics × 2 subscribers: 501 messages each are the first to reach 3001.
		if res.Deliveries != 3006 || res.Published != 1503 || res.Received != 3006 || res.Share() != 1 {
			t.Errorf("QoS %d: %+v, want 1503 published and 3006 delivered", qos, res)
		}
	}
}

// TestChurnTakesNoPlaceTwice: a broker may read CONNECT before the DISCONNECT of an earlier round, and have who takes
// the place of another again and again wait.
func TestChurnTakesNoPlaceTwice(t *testing.T) {
	b := &toy{}
	s := Scenario{Name: "churn", Kind: Churn, Publishers: 4}
	res, err := Run(s, Options{Addr: b.start(t), WarmUp: 10 * time.Millisecond, Measure: 50 * time.Millisecond, Core: -1})
	if err != nil || res.Share() != 1 {
		t.Fatal(res.Share(), err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for id, n := range b.clients {
		if strings.HasPrefix(id, "bench-c") && n > 1 {
			t.Fatalf("%s connected %d times", id, n)
		}
	}
	if len(b.clients) < 8 {
		t.Errorf("only %d clients", len(b.clients))
	}
}

func TestRunSeesLoss(t *testing.T) {
	addr := (&toy{loseNth: 100}).start(t)
	res, err := Run(small(0), Options{Addr: addr, Deliveries: 600, Quiet: 300 * time.Millisecond, Core: -1})
	if err != nil {
		t.Fatal(err)
	}
	if res.Wanted != 600 || res.Received != 594 {
		t.Errorf("%d of %d deliveries, want 594 of 600", res.Received, res.Wanted)
	}
}

func TestRunSeesCorruption(t *testing.T) {
	addr := (&toy{corruptNth: 1}).start(t)
	_, err := Run(small(1), Options{Addr: addr, Deliveries: 60, Core: -1})
	if err == nil || !strings.Contains(err.Error(), "a subscriber got") {
		t.Errorf("error %v, want one that shows the frame", err)
	}
}

func TestRunRefusesUnansweredConnect(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var server sync.WaitGroup
	server.Go(func() {
		if c, err := l.Accept(); err == nil {
			c.Close()
		}
	})
	defer server.Wait()
	defer l.Close()
	_, err = Run(small(0), Options{Addr: l.Addr().(*net.TCPAddr).AddrPort(), Deliveries: 1, Core: -1})
	if err == nil || !strings.Contains(err.Error(), "no answer to CONNECT") {
		t.Errorf("error %v, want: no answer to CONNECT", err)
	}
}
