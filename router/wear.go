package router

import (
	"fmt"
	"slices"
	"strings"
)

// wear watches how much the store writes in a day: flash memory lasts for so
// many writes. Days are those of UTC. What was written today is noted with a batch
// that leaves anyway, at most once a minute, and when the broker stops in good
// order, so that a start goes on from there.
type wear struct {
	written func() uint64 // by the store, since the start; nil: not known
	most    uint64        // in a day; 0: nobody wants to know
	day     int64         // since 1970
	before  uint64        // written on earlier days, less what was today before the start
	noted   uint64        // of today, in the record
	notedAt int64         // wall clock
	warned  bool
	topics  heavy
	clients heavy
}

// wearNamed is how many topics and clients a warning names.
const wearNamed = 3

// count adds a message that is written down.
func (w *wear) count(m *Message, by string) {
	if w.most == 0 {
		return
	}
	n := uint64(m.bytes())
	w.topics.add(m.Topic(), n)
	if by != "" {
		w.clients.add([]byte(by), n)
	}
}

// publisher is the client that m, which is being routed, comes from; "" when
// that is not known, or nobody asks.
func (k *keeper) publisher(m *Message) string {
	f := &k.r.fan
	if k.wear.most == 0 || f.msg != m || f.p == nil || f.p.from == nil {
		return ""
	}
	return f.p.from.id
}

// today is how much was written since midnight.
func (k *keeper) today() uint64 {
	w := &k.wear
	if w.written == nil {
		return 0
	}
	if day := k.now / dayNanos; day != w.day {
		if w.day != 0 {
			w.before = w.written()
		}
		w.day, w.warned = day, false
		w.topics, w.clients = heavy{}, heavy{}
	}
	return w.written() - w.before
}

const (
	dayNanos  = 24 * 3600e9
	wearEvery = int64(60e9) // ns between two notes
)

// noteWear writes down what was written today, if the last note is that old.
func (k *keeper) noteWear(age int64) {
	w := &k.wear
	if n := k.today(); n != w.noted && (k.now-w.notedAt >= age || k.now < w.notedAt) && k.err == nil && !k.full {
		w.noted, w.notedAt = n, k.now
		k.put(recordKey(tableMeta, metaWear), appendTime(appendTime(append(k.scratch[:0], recordVersion), w.day), int64(n)), nil, later)
	}
}

// resume takes what an earlier process has noted.
func (w *wear) resume(today, day int64, bytes uint64) {
	if day == today {
		w.day, w.before, w.noted, w.warned = day, -bytes, bytes, w.most > 0 && bytes >= w.most
	}
}

// lookAtWear warns once a day.
func (k *keeper) lookAtWear() {
	w, n := &k.wear, k.today()
	if w.most == 0 || n < w.most || w.warned {
		return
	}
	w.warned = true
	k.r.event(&Event{Kind: EventWear, Count: n, Waiting: int(w.most), Topic: w.topics.String(), User: w.clients.String()})
}

// heavy finds the names with the largest sums among any number of names, in a
// fixed space (the algorithm called Space-Saving): a new name takes the place of
// the smallest and inherits its sum, which is remembered as what may be wrong.
type heavy struct{ list []heavySum }

type heavySum struct {
	name       string
	sum, wrong uint64
}

const heavyMax = 64

func (h *heavy) add(name []byte, n uint64) {
	least := 0
	for i := range h.list {
		if h.list[i].name == string(name) {
			h.list[i].sum += n
			return
		}
		if h.list[i].sum < h.list[least].sum {
			least = i
		}
	}
	if len(h.list) < heavyMax {
		h.list = append(h.list, heavySum{string(name), n, 0})
		return
	}
	s := &h.list[least]
	*s = heavySum{string(name), s.sum + n, s.sum}
}

// String names the largest, with the bytes that they have at least.
func (h *heavy) String() string {
	var texts []string
	list := slices.Clone(h.list)
	for range min(len(list), wearNamed) {
		most := 0
		for i := range list {
			if list[i].least() > list[most].least() {
				most = i
			}
		}
		texts = append(texts, fmt.Sprintf("%s (%d bytes)", list[most].name, list[most].least()))
		list[most] = heavySum{}
	}
	return strings.Join(texts, ", ")
}

// least is what the name has for certain.
func (s *heavySum) least() uint64 { return s.sum - s.wrong }
