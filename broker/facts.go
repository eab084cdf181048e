package broker

import (
	"iter"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/loopmq/loopmq/router"
)

// facts are the counters of the listeners, and the days that their certificates
// have left. On the loop.
func (b *Broker) facts() (list []router.Fact) {
	names := map[string]int{}
	for _, d := range b.doors {
		name := topicLevel(d.rules.Name)
		if names[name]++; names[name] > 1 {
			name += "-" + strconv.Itoa(names[name])
		}
		add := func(prefix, names string, numbers ...uint64) {
			for i, what := range strings.Fields(names) {
				list = append(list, router.Fact{Listener: name, Name: prefix + what, Number: int64(numbers[i])})
			}
		}
		of := d.socket.Stats()
		add("", "connections accepted refused", of.Conns, of.Accepted, of.Refused)
		if s := d.secure; s != nil {
			t := s.door.Stats()
			add("tls/", "handshakes resumed failed waiting refused strangers broken",
				t.Done, t.Resumed, t.Failed, t.Waiting, t.Refused, t.Strangers, t.Broken)
			add("certificate/", "days", uint64(s.days(time.Now())))
		}
		if d.webSocket != nil {
			w := d.webSocket.Stats()
			add("websocket/", "upgraded refused errors pings", w.Upgraded, w.Refused, w.ProtocolErrors, w.Pings)
		}
	}
	return list
}

// days are the whole days that the certificate has left which ends first,
// negative behind its end.
func (s *secure) days(now time.Time) int64 {
	least := math.Inf(1)
	for _, e := range s.store.Expiries() {
		least = min(least, e.Days(now))
	}
	return int64(math.Floor(least))
}

// topicLevel is a name as a level of a topic.
func topicLevel(name string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || strings.ContainsRune("/+#", r) {
			return '_'
		}
		return r
	}, name)
}

// byListener is facts as pairs for the log, listener by listener.
func byListener(facts []router.Fact) iter.Seq2[string, []any] {
	return func(yield func(string, []any) bool) {
		var pairs []any
		for i, f := range facts {
			pairs = append(pairs, strings.ReplaceAll(f.Name, "/", "_"), f.Number)
			if i+1 < len(facts) && facts[i+1].Listener == f.Listener {
				continue
			}
			if !yield(f.Listener, pairs) {
				return
			}
			pairs = nil
		}
	}
}
