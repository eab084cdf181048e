//go:build linux

package bench

import (
	"errors"
	"fmt"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// pingFrame asks for a sign that all before it was handled, pongFrame is that
// sign.
const (
	pingFrame = "\xc0\x00"
	pongFrame = "\xd0\x00"
)

var errUnasked = errors.New("the broker should have closed the connection")

// retained stores messages, weighs them, and has a new subscriber to # get them
// all.
func (r *run) retained() (Result, error) {
	before, err := r.memory()
	if err != nil {
		return Result{}, err
	}
	publish, err := dial(r.Addr, "bench-publisher", true)
	if err != nil {
		return Result{}, err
	}
	defer unix.Close(publish)
	payload := text(r.PayloadBytes)
	var frames []byte
	for i := range r.Count {
		frames = append(frames, publishFrame(firstPublish|1, r.topic(i), 0, payload)...)
	}
	start := time.Now()
	if err := writeAll(publish, frames); err != nil {
		return Result{}, fmt.Errorf("store: %w", err)
	}
	if err := ask(publish, []byte(pingFrame), 2, pongFrame[0], 1, "PINGREQ"); err != nil {
		return Result{}, err
	}
	r.load = time.Since(start)
	frame := len(frames) / r.Count
	if err := r.weigh(before, r.Count, r.Count*(len(payload)+len(r.topic(0)))); err != nil {
		return Result{}, err
	}
	subscribe, err := dial(r.Addr, "bench-subscriber", true)
	if err != nil {
		return Result{}, err
	}
	defer unix.Close(subscribe)
	runtime.GC()
	if !r.Guest {
		return r.collect(subscribe, subscribeFrame(0, "#"), 5, frame, 0)
	}
	res, err := r.collect(subscribe, subscribeFrame(0, "bench/#"), 5, frame, 0)
	return res, errors.Join(err, r.unretain(publish))
}

// unretain takes the stored messages back.
func (r *run) unretain(fd int) error {
	var frames []byte
	for i := range r.Count {
		frames = append(frames, publishFrame(firstPublish|1, r.topic(i), 0, nil)...)
	}
	if err := writeAll(fd, frames); err != nil {
		return fmt.Errorf("delete the stored messages: %w", err)
	}
	return ask(fd, []byte(pingFrame), 2, pongFrame[0], 1, "PINGREQ")
}

// drained queues messages for a session that is away, weighs them, and has it
// come back for them.
func (r *run) drained() (Result, error) {
	const name, topic = "bench-absent", "bench/absent"
	away, err := dial(r.Addr, name, false)
	if err != nil {
		return Result{}, err
	}
	defer unix.Close(away)
	if err := ask(away, subscribeFrame(1, topic), 5, firstSuback, 0x80, "SUBSCRIBE"); err != nil {
		return Result{}, err
	}
	if err := writeAll(away, []byte(disconnectFrame)); err != nil {
		return Result{}, err
	}
	if n, err := read(away, make([]byte, 1)); n != 0 || err != nil { // until the broker has closed it too
		return Result{}, fmt.Errorf("after DISCONNECT came %d bytes: %w", n, errors.Join(err, errUnasked))
	}
	before, err := r.memory()
	if err != nil {
		return Result{}, err
	}
	payload := text(r.PayloadBytes)
	start := time.Now()
	if err := r.publishQoS1(topic, payload); err != nil {
		return Result{}, err
	}
	r.load = time.Since(start)
	if err := r.weigh(before, r.Count, r.Count*(len(payload)+len(topic))); err != nil {
		return Result{}, err
	}
	back, err := open(r.Addr, 0)
	if err != nil {
		return Result{}, err
	}
	defer unix.Close(back)
	runtime.GC()
	frame := publishFrame(firstPublish|2, topic, 1, payload)
	res, err := r.collect(back, connectFrame(name, false), 4, len(frame), len(frame)-len(payload)-2)
	if err != nil || !r.Guest {
		return res, err
	}
	clean, err := dial(r.Addr, name, true) // ends the session
	if err != nil {
		return res, fmt.Errorf("end the session: %w", err)
	}
	return res, errors.Join(writeAll(clean, []byte(disconnectFrame)), unix.Close(clean))
}

// publishQoS1 sends all messages, a hundred at a time, and waits for their
// acknowledgements.
func (r *run) publishQoS1(topic string, payload []byte) error {
	const batch = 100
	fd, err := dial(r.Addr, "bench-publisher", true)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	var acks [batch * ackBytes]byte
	for done := 0; done < r.Count; {
		if err := r.late(); err != nil {
			return fmt.Errorf("%w: %d messages of %d", err, done, r.Count)
		}
		n := min(batch, r.Count-done)
		var frames []byte
		for i := range n {
			frames = append(frames, publishFrame(firstPublish|2, topic, 1+i, payload)...)
		}
		if err := writeAll(fd, frames); err != nil {
			return fmt.Errorf("publish: %w", err)
		}
		if err := readFull(fd, acks[:n*ackBytes]); err != nil {
			return fmt.Errorf("no acknowledgement: %w", err)
		}
		done += n
	}
	return nil
}

// collect sends a request whose answer is size bytes long and then receives
// r.Count messages that are all equally long; those of QoS 1, with a packet
// identifier at idOffset, are acknowledged.
func (r *run) collect(fd int, request []byte, size, frame, idOffset int) (Result, error) {
	from, err := r.mark()
	if err != nil {
		return Result{}, err
	}
	if err := writeAll(fd, request); err != nil {
		return Result{}, err
	}
	answer := make([]byte, size)
	if err := readFull(fd, answer); err != nil {
		return Result{}, fmt.Errorf("no answer: %w", err)
	}
	buf, acks := make([]byte, readBytes), make([]byte, 0, readBytes)
	got, tail := 0, 0
	for got < r.Count {
		n, err := read(fd, buf[tail:])
		if err != nil || n == 0 {
			break // what is missing is seen in the result
		}
		data, before := buf[:tail+n], got
		for acks = acks[:0]; len(data) >= frame; data = data[frame:] {
			got++
			if idOffset > 0 {
				acks = append(acks, firstPuback, 2, data[idOffset], data[idOffset+1])
			}
		}
		tail = copy(buf, data)
		r.tellMore(got-before, (got-before)*frame)
		if err := writeAll(fd, acks); err != nil {
			return Result{}, fmt.Errorf("acknowledge: %w", err)
		}
	}
	to, err := r.mark()
	if err != nil {
		return Result{}, err
	}
	res := r.span(from, to, int64(got))
	res.Published, res.Received, res.Wanted = int64(r.Count), int64(got), int64(r.Count)
	return res, nil
}

// writeAll writes p; the socket blocks.
func writeAll(fd int, p []byte) error {
	for len(p) > 0 {
		n, err := write(fd, p)
		if err != nil {
			return err
		}
		p = p[n:]
	}
	return nil
}
