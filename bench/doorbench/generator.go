//go:build linux

package main

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// generator is one run.
type generator struct {
	kind
	load
	doors doors
	certs *certificate
	pid   int
}

// mask is what WebSocket frames of the generator are masked with.
const mask = "\x12\x34\x56\x78"

// wrap makes what is sent of one packet.
func (k kind) wrap(dst, packet []byte) []byte {
	if !k.web {
		return append(dst, packet...)
	}
	if n := len(packet); n < 126 {
		dst = append(dst, 0x82, 0x80|byte(n))
	} else {
		dst = binary.BigEndian.AppendUint16(append(dst, 0x82, 0x80|126), uint16(n))
	}
	dst = append(dst, mask...)
	for i, b := range packet {
		dst = append(dst, b^mask[i%4])
	}
	return dst
}

// packet adds a fixed header.
func packet(first byte, body []byte) []byte {
	return append(binary.AppendUvarint([]byte{first}, uint64(len(body))), body...)
}

func text(dst []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint16(dst, uint16(len(s))), s...)
}

// connect opens a session; answer receives CONNACK.
func (g *generator) connect(id string) (net.Conn, *counter, error) {
	c, err := g.dial(g.doors, g.certs)
	if err != nil {
		return nil, nil, err
	}
	in := &counter{web: g.web}
	body := text(append(text(nil, "MQTT"), 4, 2, 0, 0), id)
	return c, in, g.ask(c, in, packet(0x10, body), 4)
}

// ask sends a packet and waits for so many bytes of answer.
func (g *generator) ask(c net.Conn, in *counter, packet []byte, answer int64) error {
	if _, err := c.Write(g.wrap(nil, packet)); err != nil {
		return err
	}
	want := in.bytes + answer
	for b := make([]byte, 256); in.bytes < want; {
		n, err := c.Read(b)
		in.count(b[:n])
		if err != nil {
			return fmt.Errorf("answer to packet %#x: %w", packet[0], err)
		}
	}
	return nil
}

// counter counts what MQTT there is in a stream.
type counter struct {
	web   bool
	bytes int64
	left  int64  // of the frame's payload
	head  []byte // of a header, as far as it has come
}

func (c *counter) count(b []byte) {
	if !c.web {
		c.bytes += int64(len(b))
		return
	}
	for len(b) > 0 {
		if c.left > 0 {
			n := min(c.left, int64(len(b)))
			c.left, c.bytes, b = c.left-n, c.bytes+n, b[n:]
			continue
		}
		c.head, b = append(c.head, b[0]), b[1:]
		switch {
		case len(c.head) == 2 && c.head[1] < 126:
			c.left, c.head = int64(c.head[1]), c.head[:0]
		case len(c.head) == 4 && c.head[1] == 126:
			c.left, c.head = int64(binary.BigEndian.Uint16(c.head[2:])), c.head[:0]
		case len(c.head) == 10:
			c.left, c.head = int64(binary.BigEndian.Uint64(c.head[2:])), c.head[:0]
		}
	}
}

// stream measures as many deliveries as there can be.
func (g *generator) stream(measure time.Duration) (r result, err error) {
	message := packet(0x30, append(text(nil, "bench/1"), make([]byte, g.payload)...))
	received := make([]atomic.Int64, g.subscribers)
	woken, failed := make(chan struct{}, 1), make(chan error, g.subscribers+1)
	for i := range g.subscribers {
		c, in, err := g.connect("s" + strconv.Itoa(i))
		if err != nil {
			return r, err
		}
		defer c.Close()
		if err := g.ask(c, in, packet(0x82, append(text([]byte{0, 1}, "bench/1"), 0)), 5); err != nil {
			return r, err
		}
		go receive(c, in, in.bytes, &received[i], woken, failed)
	}
	c, _, err := g.connect("p")
	if err != nil {
		return r, err
	}
	defer c.Close()
	go g.publish(c, message, received, woken, failed)
	if err := sleepUnless(failed, 500*time.Millisecond); err != nil {
		return r, err
	}
	from, began, cpu := sum(received), time.Now(), time.Duration(0)
	before, err := processTime(g.pid)
	if err != nil {
		return r, err
	}
	if err := sleepUnless(failed, measure); err != nil {
		return r, err
	}
	deliveries := float64(sum(received)-from) / float64(len(message))
	after, err := processTime(g.pid)
	if err != nil {
		return r, err
	}
	cpu = after - before
	return result{rate: deliveries / time.Since(began).Seconds(), cpuEach: float64(cpu.Nanoseconds()) / 1e3 / deliveries}, nil
}

// batchBytes is what a publisher writes at a time, at least: a record of TLS.
const batchBytes = 16 << 10

// publish keeps ahead of the slowest subscriber.
func (g *generator) publish(c io.Writer, message []byte, received []atomic.Int64, woken <-chan struct{}, failed chan<- error) {
	var batch []byte
	count := 0
	for ; len(batch) < batchBytes; count++ {
		batch = g.wrap(batch, message)
	}
	for sent := int64(0); ; sent += int64(count * len(message)) {
		for sent-least(received) > int64(g.aheadBytes) {
			<-woken
		}
		if _, err := c.Write(batch); err != nil {
			failed <- err
			return
		}
	}
}

// receive counts until the connection ends.
func receive(c io.Reader, in *counter, from int64, total *atomic.Int64, woken chan<- struct{}, failed chan<- error) {
	for b := make([]byte, 64<<10); ; {
		n, err := c.Read(b)
		in.count(b[:n])
		total.Store(in.bytes - from)
		select {
		case woken <- struct{}{}:
		default:
		}
		if err != nil {
			failed <- err
			return
		}
	}
}

func least(received []atomic.Int64) int64 {
	n := received[0].Load()
	for i := range received {
		n = min(n, received[i].Load())
	}
	return n
}

func sum(received []atomic.Int64) (n int64) {
	for i := range received {
		n += received[i].Load()
	}
	return n
}

// sleepUnless waits, and returns early when a connection failed.
func sleepUnless(failed <-chan error, d time.Duration) error {
	select {
	case err := <-failed:
		return err
	case <-time.After(d):
		return nil
	}
}

// idle measures what connections hold that do nothing. The first ones are not
// counted: they make the broker allocate what it has once.
func (g *generator) idle() (r result, err error) {
	var before int64
	for i := range g.idleConns * 11 / 10 {
		if i == g.idleConns/10 {
			if before, err = resident(g.pid); err != nil {
				return r, err
			}
		}
		c, _, err := g.connect("i" + strconv.Itoa(i))
		if err != nil {
			return r, err
		}
		defer c.Close()
	}
	after, err := resident(g.pid)
	return result{bytesEach: float64(after-before) / float64(g.idleConns)}, err
}

// resident is the anonymous memory of a process.
func resident(pid int) (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, fmt.Errorf("memory of the broker: %w", err)
	}
	_, rest, _ := strings.Cut(string(text), "RssAnon:")
	var kB int64
	if _, err := fmt.Sscan(rest, &kB); err != nil {
		return 0, fmt.Errorf("RssAnon of the broker: %w", err)
	}
	return kB << 10, nil
}

// processTime is the processor time of all threads of a process.
func processTime(pid int) (total time.Duration, err error) {
	dir := fmt.Sprintf("/proc/%d/task", pid)
	tasks, err := os.ReadDir(dir)
	if err != nil {
		return 0, fmt.Errorf("threads of the broker: %w", err)
	}
	for _, task := range tasks {
		text, err := os.ReadFile(dir + "/" + task.Name() + "/schedstat")
		if err != nil {
			return 0, fmt.Errorf("processor time of the broker: %w", err)
		}
		var ns int64
		if _, err := fmt.Sscan(string(text), &ns); err != nil {
			return 0, fmt.Errorf("schedstat of the broker: %w", err)
		}
		total += time.Duration(ns)
	}
	return total, nil
}
