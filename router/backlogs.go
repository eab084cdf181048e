package router

import "sort"

// Backlog is what waits for one session, in memory or on disk.
type Backlog struct {
	ClientID        string
	Connected       bool
	Messages, Bytes int
	Inflight        int
}

// Backlogs returns the n sessions for which most bytes wait, the largest first.
// It walks all sessions.
func (r *Router) Backlogs(n int) (list []Backlog) {
	for id, s := range r.sessions {
		b := Backlog{
			ClientID: id, Connected: s.client != nil, Messages: s.waiting() + s.late.n, Bytes: s.waitingBytes() + s.late.bytes, Inflight: s.out.open,
		}
		if b.Messages > 0 || b.Inflight > 0 {
			list = append(list, b)
		}
	}
	sort.Slice(list, func(i, j int) bool {
		a, b := &list[i], &list[j]
		switch {
		case a.Bytes != b.Bytes:
			return a.Bytes > b.Bytes
		case a.Inflight != b.Inflight:
			return a.Inflight > b.Inflight
		}
		return compareText(a.ClientID, b.ClientID) < 0
	})
	return list[:min(n, len(list))]
}
