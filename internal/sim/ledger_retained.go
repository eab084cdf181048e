package sim

import (
	"slices"
	"strings"

	"github.com/loopmq/loopmq/router"
)

// judgeRetained holds the values that a new subscriber was sent against what was
// published: of each topic the last that is certain, or a later one.
func (l *ledger) judgeRetained(got map[string]int) {
	var topics []string
	add := func(topic []byte) {
		if !slices.Contains(topics, string(topic)) {
			topics = append(topics, string(topic))
		}
	}
	for _, v := range l.values {
		add(v.topic)
	}
	for _, m := range l.order {
		add(m.topic)
	}
	for _, t := range topics {
		l.judgeTopic(t, got[t])
	}
}

// judgeTopic is told which message is retained for a topic; 0: none is.
func (l *ledger) judgeTopic(topic string, n int) {
	if m := l.posts[n]; m != nil && !m.retain {
		l.w.fail("%q is retained with m%d, which was not", topic, n)
		return
	}
	full := l.noRoom(topic)
	list, none := l.valuesOf(topic)
	for _, v := range list {
		over := v.post != nil && v.post.sureTo != 0 && l.w.now >= v.post.sureTo
		switch {
		case slices.ContainsFunc(list, func(w *value) bool { return w.certain() && w.isAfter(v) }):
		case v.post != nil && v.post.number == n, n == 0 && (v.empty || over || full):
			return
		}
	}
	if n == 0 && none {
		return
	}
	l.w.fail("%q has the retained value %s, which is not the last of %s", topic, l.posts[n].describe(), describeValues(list))
}

// valuesOf are those that may have been retained for a topic, and whether it may be
// that none ever was.
func (l *ledger) valuesOf(topic string) (list []*value, none bool) {
	for _, v := range l.values {
		if string(v.topic) == topic {
			list = append(list, v)
		}
	}
	none = !slices.ContainsFunc(list, (*value).certain)
	for _, m := range l.order {
		if t := m.of; t != nil && m.retain && string(m.topic) == topic && t.mayBeOut(l.w.now) && !t.done {
			v := &value{post: m, when: t.due, until: l.w.now}
			if list = append(list, v); t.packet.props.is(propExpiry) { // and it may have been long ago
				list = append(list, &value{empty: true, when: t.due, until: l.w.now})
			}
		}
	}
	return list, none
}

// certain reports whether v must have been retained, until something came behind it.
func (v *value) certain() bool { return v.acked && !v.void }

// isAfter reports whether v came into force after w, for sure.
func (v *value) isAfter(w *value) bool {
	if v.at != 0 && w.at != 0 {
		return v.at > w.at
	}
	return v.when > w.until
}

// retains notes that a will has become the retained value of its topic, some time
// since it was due. A power cut a moment later may take it.
func (l *ledger) retains(t *testament) {
	m := t.post
	l.values = append(l.values, &value{
		topic: m.topic, post: m, acked: !t.gone, class: max(m.class, router.DurabilityLazy), since: l.w.now,
		when: t.due, until: l.w.now, size: m.size,
	})
}

// describe names m; nil stands for no message.
func (m *post) describe() string {
	if m == nil {
		return "none"
	}
	return m.what() + string(payloadOf(m.number))
}

// describeValues names them, those that are certain with a sign.
func describeValues(list []*value) string {
	var names []string
	for _, v := range list {
		name := v.post.describe()
		if v.certain() {
			name += "!"
		}
		names = append(names, name)
	}
	return strings.Join(names, ", ")
}
