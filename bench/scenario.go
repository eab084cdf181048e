//go:build linux

package bench

// Scenario says what is sent to whom.
type Scenario struct {
	Name           string
	Publishers     int  // each has a topic of its own
	Subscribers    int  // for each topic
	QoS            byte // 0 or 1, for publishing and subscribing
	PayloadBytes   int
	AheadBytes     int // a publisher's lead over its slowest subscriber
	WindowMessages int // QoS 1: unacknowledged messages of a publisher
}

// Scenarios are the cases of `make bench`. The lead shrinks with the fan-out,
// so that what is under way to all subscribers stays below 64 MB: beyond that
// the memory's speed is measured, not the broker's.
func Scenarios() []Scenario {
	return []Scenario{
		{Name: "1to1", Publishers: 1, Subscribers: 1, PayloadBytes: 64, AheadBytes: 192 << 10},
		{Name: "1to100", Publishers: 1, Subscribers: 100, PayloadBytes: 64, AheadBytes: 64 << 10},
		{Name: "1to1000", Publishers: 1, Subscribers: 1000, PayloadBytes: 64, AheadBytes: 32 << 10},
		{Name: "50x50", Publishers: 50, Subscribers: 1, PayloadBytes: 64, AheadBytes: 64 << 10},
		{Name: "qos1x10", Publishers: 10, Subscribers: 1, QoS: 1, PayloadBytes: 64, AheadBytes: 64 << 10, WindowMessages: 20},
	}
}

// fanOut is the number of deliveries that one message causes.
func (s *Scenario) fanOut() int64 { return int64(s.Subscribers) }
