package sim

import "slices"

// shared are the members of each shared subscription of which one must get p once
// it is acknowledged: all of them are known, last, and take it with an
// acknowledgement. Of others it is not known who was chosen.
func (l *ledger) shared(p *packet) (list [][]*holder) {
	var names []string
	for _, n := range l.names {
		for _, h := range n.may {
			if h == nil {
				continue
			}
			for _, e := range h.filters {
				if isShared(e.name) && matches(inner(e.name), p.topic) && !slices.Contains(names, string(e.name)) {
					names = append(names, string(e.name))
				}
			}
		}
	}
	for _, name := range names {
		if members := l.members(name, p.qos); members != nil {
			list = append(list, members)
		}
	}
	return list
}

// members are those of a shared subscription; nil: they are not known, or not all
// of them last.
func (l *ledger) members(name string, qos byte) (list []*holder) {
	for _, n := range l.names {
		if n.conn != nil && n.conn.holder == nil {
			return nil
		}
		for _, h := range n.may {
			if h == nil {
				continue
			}
			if h.void || h.liar { // what it has is not known
				return nil
			}
			i := slices.IndexFunc(h.filters, func(e *entry) bool { return string(e.name) == name })
			if i < 0 {
				continue
			}
			e := h.filters[i]
			if n.one() != h || !h.sure || h.low == 0 || !e.sure || e.open > 0 || min(e.low, qos) == 0 ||
				h.conn == nil && l.w.now >= h.soonest {
				return nil
			}
			list = append(list, h)
		}
	}
	return list
}

// reached reports whether one of the members of a shared subscription may have got m.
// Of sessions that have ended it is not known what they had.
func (l *ledger) reached(members []*holder, m *post) bool {
	return slices.ContainsFunc(members, func(h *holder) bool {
		return h.name.one() != h || h.void || h.liar || h.isNarrow(m) || slices.Contains(h.got, m) || slices.Contains(h.refused, m)
	})
}

// excusedAny reports whether m may be missing with one of the members.
func (l *ledger) excusedAny(members []*holder, m *post) bool {
	return slices.ContainsFunc(members, func(h *holder) bool { return l.excused(h, m) })
}

func (m *post) what() string {
	if m.will {
		return "the will "
	}
	return ""
}
