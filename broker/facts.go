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
		of := d.socket.Stats()
		some := []numbered{{"connections", of.Conns}, {"accepted", of.Accepted}, {"refused", of.Refused}}
		if s := d.secure; s != nil {
			t := s.door.Stats()
			some = append(some, []numbered{
				{"tls/handshakes", t.Done},
				{"tls/resumed", t.Resumed},
				{"tls/failed", t.Failed},
				{"tls/waiting", t.Waiting},
				{"tls/refused", t.Refused},
				{"tls/strangers", t.Strangers},
				{"tls/broken", t.Broken},
				{"certificate/days", uint64(s.days(time.Now()))},
			}...)
		}
		if d.webSocket != nil {
			w := d.webSocket.Stats()
			some = append(some, []numbered{
				{"websocket/upgraded", w.Upgraded},
				{"websocket/refused", w.Refused},
				{"websocket/errors", w.ProtocolErrors},
				{"websocket/pings", w.Pings},
			}...)
		}
		for _, n := range some {
			list = append(list, router.Fact{Listener: name, Name: n.name, Number: int64(n.n)})
		}
	}
	return list
}

// numbered is a counter with its name.
type numbered struct {
	name string
	n    uint64
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
