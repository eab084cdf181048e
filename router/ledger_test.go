package router_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// ledger is what publishers and subscribers have seen on the wire, and what
// follows from that: it knows nothing of how the broker keeps its promise.
type ledger struct {
	posted []post
	place  map[string]int // of each message in posted; copies share it
	kept   map[string][]keptValue
	wrong  error // the first broken promise
}

// post is a message to a topic below t/, or a will.
type post struct {
	stream string // topic and QoS
	n      int
	group  int
	wanted uint8 // subscribers, a bit each, that must get it
	barred uint8 // those that must not
	unsent uint8 // those that were away all the time since it was published
	acked  bool
	sure   int64 // time of day until which it does not expire; 0 = always
	ends   int64 // time of day at which it has expired, a later copy of it as well
}

// keptValue is a retained message of a topic.
type keptValue struct {
	n     int
	empty bool
	acked bool
	again bool // a repetition with QoS 2
}

func newLedger() ledger { return ledger{place: map[string]int{}, kept: map[string][]keptValue{}} }

func (l *ledger) clone() ledger {
	after := *l
	after.posted = slices.Clone(l.posted)
	after.kept = map[string][]keptValue{}
	for topic, values := range l.kept {
		after.kept[topic] = slices.Clone(values)
	}
	return after
}

func (l *ledger) fail(format string, args ...any) {
	if l.wrong == nil {
		l.wrong = fmt.Errorf(format, args...)
	}
}

func placeOf(stream string, n int) string { return stream + " " + strconv.Itoa(n) }

// find is the message with that number; nil: it was never sent.
func (l *ledger) find(stream string, n int) *post {
	is := func(p post) bool { return p.stream == stream && p.n == n }
	i := l.place[placeOf(stream, n)]
	if i >= len(l.posted) || !is(l.posted[i]) { // the place is that of a copy
		if i = slices.IndexFunc(l.posted, is); i < 0 {
			return nil
		}
	}
	return &l.posted[i]
}

func (l *ledger) enter(p post) {
	l.place[placeOf(p.stream, p.n)] = len(l.posted)
	l.posted = append(l.posted, p)
}

// sentAgain notes that a message was repeated, which the broker may take for a
// new one: with QoS 1 always, with QoS 2 if the first never came.
func (l *ledger) sentAgain(o *outMessage, now int64) {
	if o.kept {
		l.kept[o.topic] = append(l.kept[o.topic], keptValue{n: o.n, empty: o.empty, again: o.qos == 2})
	} else if o.expiry > 0 {
		l.find(o.stream(), o.n).ends = now + int64(o.expiry)*1e9
	}
}

// acked notes PUBACK or PUBREC.
func (l *ledger) acked(o *outMessage) {
	if o.kept {
		values := l.kept[o.topic]
		for i := len(values) - 1; ; i-- {
			if v := &values[i]; v.n == o.n && !v.again {
				v.acked = true
				return
			}
		}
	}
	l.find(o.stream(), o.n).acked = true
}

// refused notes an answer that says no. The message may have got through
// before, on a connection that ended without an answer.
func (l *ledger) refused(o *outMessage) {
	if !o.kept {
		l.find(o.stream(), o.n).wanted = 0
	}
}

// each calls f for all messages of a group.
func (l *ledger) each(group int, f func(p *post)) {
	for i := range l.posted {
		if l.posted[i].group == group {
			f(&l.posted[i])
		}
	}
}

// came takes in that a subscriber took a message for new.
func (l *ledger) came(who *citizen, stream string, n int) {
	p := l.find(stream, n)
	if p == nil {
		l.fail("%s got %s %d, which was never sent", who.id, stream, n)
		return
	}
	if p.barred&who.bit != 0 {
		l.fail("%s got %s %d, which it must not get", who.id, stream, n)
	}
	got := who.got[stream]
	newest := 0
	for _, o := range got {
		newest = max(newest, o)
	}
	again := slices.Contains(got, n)
	switch {
	case again && strings.HasSuffix(stream, " 2"):
		l.fail("%s got %s %d twice", who.id, stream, n)
	case !again && n < newest && p.wanted&who.bit != 0: // else a repetition may have been in time for it
		l.fail("%s got %s %d behind %d", who.id, stream, n, newest)
	}
	who.got[stream] = append(got, n)
}

// expire wants nothing any more of what has ended, and bars who was away all the
// time: it was never sent to them.
func (l *ledger) expire(now int64) {
	for i := range l.posted {
		p := &l.posted[i]
		if p.sure != 0 && now >= p.sure {
			p.wanted = 0
		}
		if p.ends != 0 && now >= p.ends && p.acked {
			p.barred |= p.unsent
		}
	}
}

// judge says what is missing when everything has come to its end.
func (l *ledger) judge(all []*citizen) error {
	for i := range l.posted {
		p := &l.posted[i]
		for _, s := range all {
			if p.wanted&s.bit != 0 && !slices.Contains(s.got[p.stream], p.n) {
				l.fail("%s did not get %s %d, acknowledged %v; it got %v", s.id, p.stream, p.n, p.acked, s.got[p.stream])
			}
		}
	}
	return l.wrong
}

// judgeKept holds a retained value, -1 for none, against what was published.
func (l *ledger) judgeKept(topic string, n int) {
	values := l.kept[topic]
	from := 0
	for i, v := range values {
		if v.acked {
			from = i
		}
	}
	acked := len(values) > 0 && values[from].acked
	for _, v := range values[from:] {
		if n == v.n && !v.empty || n < 0 && v.empty {
			return
		}
	}
	if n < 0 && !acked {
		return
	}
	l.fail("%s has the retained value %d (-1: none), which is none of %v", topic, n, values[from:])
}
