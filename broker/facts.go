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
		add := func(what string, n uint64) {
			list = append(list, router.Fact{Listener: name, Name: what, Number: int64(n)})
		}
		of := d.socket.Stats()
		add("connections", of.Conns)
		add("accepted", of.Accepted)
		add("refused", of.Refused)
		if s := d.secure; s != nil {
			t := s.door.Stats()
			add("tls/handshakes", t.Done)
			add("tls/resumed", t.Resumed)
			add("tls/failed", t.Failed)
			add("tls/waiting", t.Waiting)
			add("tls/refused", t.Refused)
			add("tls/strangers", t.Strangers)
			add("tls/broken", t.Broken)
			list = append(list, router.Fact{Listener: name, Name: "certificate/days", Number: s.days(time.Now())})
		}
		if d.webSocket != nil {
			w := d.webSocket.Stats()
			add("websocket/upgraded", w.Upgraded)
			add("websocket/refused", w.Refused)
			add("websocket/errors", w.ProtocolErrors)
			add("websocket/pings", w.Pings)
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
