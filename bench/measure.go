//go:build linux

package bench

import (
	"fmt"
	"time"
)

// mark is a reading of all meters.
type mark struct {
	at        time.Time
	got       int64
	broker    time.Duration
	generator time.Duration
	written   int64 // bytes that the broker had the disk write
}

func (r *run) mark() (m mark, err error) {
	if r.PID != 0 {
		if m.broker, err = processCPU(r.PID); err != nil {
			return m, err
		}
		// Not everybody may read it, or is it said everywhere.
		m.written, _ = statusNumber(fmt.Sprintf("/proc/%d/io", r.PID), "write_bytes:")
	}
	if m.generator, err = threadCPU(); err != nil {
		return m, err
	}
	m.at, m.got = time.Now(), r.got
	return m, nil
}

// measure is warm-up, measured part, and what is under way then; or a number of
// deliveries, all of them measured.
func (r *run) measure() (Result, error) {
	counted := r.Deliveries > 0
	if !counted {
		if err := r.turn(time.Now().Add(r.WarmUp), unlimited); err != nil {
			return Result{}, err
		}
	}
	from, err := r.mark()
	if err != nil {
		return Result{}, err
	}
	if counted {
		perMessage := int64(r.Publishers) * r.fanOut()
		err = r.drain((r.Deliveries + perMessage - 1) / perMessage)
	} else {
		err = r.turn(from.at.Add(r.Measure), unlimited)
	}
	if err != nil {
		return Result{}, err
	}
	to, err := r.mark()
	if err != nil {
		return Result{}, err
	}
	if !counted {
		if err := r.finish(); err != nil {
			return Result{}, err
		}
	}
	frame := int64(r.shape.frameBytes)
	res := r.span(from, to, (to.got-from.got)/frame)
	res.Published, res.Received = r.published()/frame, r.got/frame
	res.Wanted = res.Published * r.fanOut()
	if bytes := res.Deliveries / r.fanOut() * int64(r.PayloadBytes+len(r.topic(0))); bytes > 0 {
		res.WrittenEach = float64(to.written-from.written) / float64(bytes)
	}
	return res, nil
}

// span is the part of a result that two readings give.
func (r *run) span(from, to mark, deliveries int64) Result {
	elapsed := to.at.Sub(from.at)
	return Result{
		Deliveries: deliveries, Elapsed: elapsed, BrokerCPU: to.broker - from.broker,
		GeneratorBusy: float64(to.generator-from.generator) / float64(elapsed),
		Load:          r.load, BytesEach: r.each,
	}
}

// published is the number of bytes that all publishers sent.
func (r *run) published() (bytes int64) {
	for i := range r.sets {
		bytes += r.sets[i].sent()
	}
	return bytes
}
