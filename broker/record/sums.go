package record

import "github.com/loopmq/loopmq/router"

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

//go:noinline
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
	r.put(kindSums)
	for i, n := range now {
		r.number(signed(int64(n - r.sum[i])))
	}
	r.sum, r.sumAt = now, r.now
}

// sums compares them.
func (p *player) sums() {
	for i := range p.sum {
		p.sum[i] += uint64(p.signed())
	}
	if p.err != nil {
		return
	}
	now := sumsOf(p.r.Stats())
	if sent := p.r.Sent(); sent != p.rep.Packets {
		p.differs("%d packets were sent, and %d counted", p.rep.Packets, sent)
	}
	if now == p.sum || p.astray {
		return
	}
	p.astray = true // all that follows is, too
	for i, n := range now {
		if n != p.sum[i] {
			p.differs("%s: %d, then %d", sumNames[i], n, p.sum[i])
		}
	}
}
