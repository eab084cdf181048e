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
		row := []fact{{"connections", of.Conns}, {"accepted", of.Accepted}, {"refused", of.Refused}}
		if s := d.secure; s != nil {
			t := s.door.Stats()
			row = append(row, fact{"tls/handshakes", t.Done}, fact{"tls/resumed", t.Resumed}, fact{"tls/failed", t.Failed},
				fact{"tls/waiting", t.Waiting}, fact{"tls/refused", t.Refused}, fact{"tls/strangers", t.Strangers},
				fact{"tls/broken", t.Broken}, fact{"certificate/days", uint64(s.days(time.Now()))})
		}
		if d.webSocket != nil {
			w := d.webSocket.Stats()
			row = append(row, fact{"websocket/upgraded", w.Upgraded}, fact{"websocket/refused", w.Refused},
				fact{"websocket/errors", w.ProtocolErrors}, fact{"websocket/pings", w.Pings})
		}
		for _, f := range row {
			list = append(list, router.Fact{Listener: name, Name: f.name, Number: int64(f.n)})
		}
	}
	return list
}

// fact is one of a listener.
type fact struct {
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
