//go:build linux

package bench

import "fmt"

// Kind is what a scenario measures.
type Kind int

// The kinds of scenarios.
const (
	Stream   Kind = iota // as many deliveries a second as there can be
	Latency              // messages at a steady rate, and how long each takes
	Churn                // connect, CONNACK, disconnect
	Idle                 // clients that do nothing, and what they cost
	Retained             // store retained messages, then deliver them to #
	Drain                // queue messages for an absent session, then deliver them
	Daemon               // a broker that nobody uses, and what it costs
)

// Scenario says what is sent to whom.
type Scenario struct {
	_ [0]func() // not to be compared: that would be 3 kB of program

	Name           string
	Kind           Kind
	Publishers     int // each has a topic of its own
	Subscribers    int // for each topic, or of the one group
	QoS            byte
	PayloadBytes   int
	AheadBytes     int // a publisher's lead over its slowest subscriber
	WindowMessages int // QoS 1 and 2: unfinished messages of a publisher

	// OneGroup has all subscribers get the messages of all publishers, through
	// a wildcard.
	OneGroup bool
	// Shared makes the subscribers one shared subscription: each message goes
	// to one of them.
	Shared bool
	// Filters is how many filters the subscribers share among them; each
	// message goes to a topic drawn from these, and so to one subscriber.
	Filters int

	// Durable has all clients keep their sessions, so that a broker with a store
	// must write messages down before it acknowledges them.
	Durable bool

	Rate  int // Latency: messages a second
	Count int // Churn, Idle: clients; Retained, Drain: messages

	// Once: a single round is enough, because memory does not differ from round
	// to round, and waiting for it to settle takes long.
	Once bool
}

// DurableScenarios are the cases of `make bench-durable`: a lone message at a
// time, and as many at once as a commit can serve.
func DurableScenarios() []Scenario {
	s := Scenario{QoS: 1, Subscribers: 1, AheadBytes: 64 << 10, Durable: true}
	var list []Scenario
	for _, size := range []int{64, 256, 4 << 10} {
		s.PayloadBytes = size
		s.Name, s.Publishers, s.WindowMessages = "1 × 1, "+bytesName(size), 1, 1
		list = append(list, s)
		s.Name, s.Publishers, s.WindowMessages = "100 × 20, "+bytesName(size), 100, 20
		list = append(list, s)
	}
	return list
}

// Scenarios are the cases of `make bench`. The lead shrinks with the fan-out,
// so that what is under way to all subscribers stays below 64 MB: beyond that
// the memory's speed is measured, not the broker's.
func Scenarios() []Scenario {
	list := []Scenario{
		{Name: "1to1", Publishers: 1, Subscribers: 1, PayloadBytes: 64, AheadBytes: 192 << 10},
		{Name: "1to100", Publishers: 1, Subscribers: 100, PayloadBytes: 64, AheadBytes: 64 << 10},
		{Name: "1to1000", Publishers: 1, Subscribers: 1000, PayloadBytes: 64, AheadBytes: 32 << 10},
		{Name: "50x50", Publishers: 50, Subscribers: 1, PayloadBytes: 64, AheadBytes: 64 << 10},
		{Name: "100to1", Publishers: 100, Subscribers: 1, OneGroup: true, PayloadBytes: 64, AheadBytes: 16 << 10},
		{Name: "shared", Publishers: 1, Subscribers: 10, Shared: true, PayloadBytes: 64, AheadBytes: 192 << 10},
		{Name: "qos1x10", Publishers: 10, Subscribers: 1, QoS: 1, PayloadBytes: 64, AheadBytes: 64 << 10, WindowMessages: 20},
		{Name: "qos1x50", Publishers: 50, Subscribers: 1, QoS: 1, PayloadBytes: 64, AheadBytes: 64 << 10, WindowMessages: 100},
		{Name: "qos1-1to100", Publishers: 1, Subscribers: 100, QoS: 1, PayloadBytes: 64, AheadBytes: 64 << 10, WindowMessages: 20},
		{Name: "qos2x10", Publishers: 10, Subscribers: 1, QoS: 2, PayloadBytes: 64, AheadBytes: 64 << 10, WindowMessages: 20},
	}
	for _, size := range []int{16, 1 << 10, 64 << 10, 1 << 20} {
		list = append(list, Scenario{
			Name: "payload-" + bytesName(size), Publishers: 1, Subscribers: 1, PayloadBytes: size, AheadBytes: max(512<<10, 4*size),
		})
	}
	for _, n := range []int{1_000, 100_000, 1_000_000} {
		list = append(list, Scenario{
			Name: "filters-" + countName(n), Publishers: 1, Subscribers: 10, Filters: n, PayloadBytes: 64, AheadBytes: 192 << 10,
		})
	}
	return append(
		list,
		Scenario{Name: "latency", Kind: Latency, Publishers: 1, Subscribers: 1, PayloadBytes: 64, Rate: 5000},
		Scenario{Name: "churn", Kind: Churn, Publishers: 64},
		Scenario{Name: "idle-10k", Kind: Idle, Count: 10_000, Once: true},
		Scenario{Name: "idle-100k", Kind: Idle, Count: 100_000, Once: true},
		Scenario{Name: "retained-100k", Kind: Retained, Count: 100_000, PayloadBytes: 64},
		Scenario{Name: "drain-50k", Kind: Drain, Count: 50_000, PayloadBytes: 64},
		Scenario{Name: "daemon", Kind: Daemon, Once: true},
	)
}

// Describe says in words what is sent to whom.
func (s *Scenario) Describe() string {
	size := bytesName(s.PayloadBytes)
	switch s.Kind {
	case Churn:
		return fmt.Sprintf("%d clients at a time connect, get their CONNACK and leave", s.Publishers)
	case Idle:
		return fmt.Sprintf("%d clients with a subscription each connect and then do nothing: what one costs", s.Count)
	case Retained:
		return fmt.Sprintf("%d retained messages of %s are stored, and a new subscriber gets them all", s.Count, size)
	case Drain:
		return fmt.Sprintf("%d messages of %s wait for a session that is away, which then gets them all", s.Count, size)
	case Daemon:
		return "a broker that nobody uses: what it costs"
	case Latency:
		return fmt.Sprintf("%d messages/s of %s to one subscriber: how long each takes", s.Rate, size)
	case Stream:
	}
	who := fmt.Sprintf("%s each with %s of its own", many(s.Publishers, "publisher"), many(s.Subscribers, "subscriber"))
	switch {
	case s.Filters > 0:
		who = fmt.Sprintf("one publisher to %d filters of %s", s.Filters, many(s.Subscribers, "subscriber"))
	case s.Shared:
		who = fmt.Sprintf("one publisher, %s that share one subscription", many(s.Subscribers, "subscriber"))
	case s.OneGroup:
		who = fmt.Sprintf("%s, %s to all of them by a wildcard", many(s.Publishers, "publisher"), many(s.Subscribers, "subscriber"))
	case s.Publishers == 1:
		who = fmt.Sprintf("one publisher, %s", many(s.Subscribers, "subscriber"))
	}
	return fmt.Sprintf("%s, QoS %d, %s", who, s.QoS, size)
}

func many(n int, what string) string {
	if n == 1 {
		return "one " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func bytesName(n int) string {
	switch {
	case n >= 1<<20:
		return fmt.Sprintf("%dMiB", n>>20)
	case n >= 1<<10:
		return fmt.Sprintf("%dKiB", n>>10)
	}
	return fmt.Sprintf("%dB", n)
}

func countName(n int) string {
	if n >= 1_000_000 {
		return fmt.Sprintf("%dM", n/1_000_000)
	}
	return fmt.Sprintf("%dk", n/1000)
}

// spread reports whether each message goes to one of the subscribers instead
// of to all.
func (s *Scenario) spread() bool { return s.Shared || s.Filters > 0 }

// fanOut is the number of deliveries that one message causes.
func (s *Scenario) fanOut() int64 {
	if s.spread() {
		return 1
	}
	return int64(s.Subscribers)
}

// groups is the number of sets of clients that exchange messages.
func (s *Scenario) groups() int {
	if s.OneGroup {
		return 1
	}
	return s.Publishers
}

// topic is the name that publisher i publishes to; all are equally long.
func (s *Scenario) topic(i int) string { return fmt.Sprintf("bench/%06d", i) }

// filter is what the subscribers of publisher i subscribe to.
func (s *Scenario) filter(i int) string {
	switch {
	case s.OneGroup:
		return "bench/#"
	case s.Shared:
		return "$share/bench/" + s.topic(i)
	}
	return s.topic(i)
}

// Exact reports whether a relay can run it that knows topics, but neither
// wildcards nor sessions.
func (s *Scenario) Exact() bool {
	return !s.OneGroup && !s.Shared && s.QoS < 2 && s.Kind != Retained && s.Kind != Drain
}

// Files is how many descriptors the generator, and the broker, need.
func (s *Scenario) Files() int {
	clients := s.Publishers + s.groups()*s.Subscribers
	if s.Kind == Idle {
		clients = s.Count
	}
	return clients + 100
}

// filterName is one of Scenario.Filters: a few levels, as in a building.
func filterName(i int) string {
	return fmt.Sprintf("site/%03d/room/%03d/sensor/%02d", i/50_000, i/50%1000, i%50)
}
