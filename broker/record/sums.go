package record

import (
	"encoding/binary"

	"github.com/loopmq/loopmq/router"
)

// sums are what a replay is compared by.
type sums [15]uint64

// sumNames say what they are.
//
// table: never written.
var sumNames = [...]string{
	"packets sent with QoS 0", "with QoS 1", "with QoS 2", "answers", "bytes of payload sent", "bytes of payload received",
	"packets received", "packets dropped", "sessions", "subscriptions", "retained messages", "messages in flight",
	"messages queued", "messages late", "messages on disk only",
}

func sumsOf(s *router.Stats) sums {
	dropped := uint64(0)
	for _, n := range s.Dropped {
		dropped += n
	}
	return sums{
		s.Delivered[0], s.Delivered[1], s.Delivered[2], s.Answers, s.PayloadBytesOut, s.PayloadBytesIn,
		s.PacketsIn, dropped, uint64(s.Sessions), uint64(s.Subscriptions), uint64(s.Retained), uint64(s.Inflight),
		uint64(s.Queued), uint64(s.Late), uint64(s.QueuedOnDisk),
	}
}

// sums writes down how they have changed.
func (r *Recorder) sums() {
	now := sumsOf(r.rt.Stats())
	b := append(r.buf, byte(kindSums))
	for i, n := range now {
		b = binary.AppendVarint(b, int64(n-r.sum[i]))
	}
	r.buf, r.sum = b, now
}

// sums compares them.
func (p *player) sums() error {
	for i := range p.sum {
		d, err := binary.ReadVarint(p.in)
		if err != nil {
			return whole(err)
		}
		p.sum[i] += uint64(d)
	}
	now := sumsOf(p.r.Stats())
	if sent := p.r.Sent(); sent != p.rep.Packets {
		p.differs("%d packets were sent, and %d counted", p.rep.Packets, sent)
	}
	if now == p.sum || p.astray {
		return nil
	}
	p.astray = true // all that follows is, too
	for i, n := range now {
		if n != p.sum[i] {
			p.differs("%s: %d, then %d", sumNames[i], n, p.sum[i])
		}
	}
	return nil
}
