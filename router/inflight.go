package router

// packetIDs is how many PacketIDs there are: 1 to 65535 [MQTT-2.3.1-1].
const packetIDs = 65535

// flightState says what a sent message waits for.
type flightState byte

const (
	flightDone    flightState = iota // finished, its slot not yet reclaimed
	flightPuback                     // QoS 1 sent
	flightPubrec                     // QoS 2 sent
	flightPubcomp                    // PUBREC seen, PUBREL sent; the message is released
)

// flight is one message sent and not finished.
type flight struct {
	delivery
	state flightState
}

// inflight is the sender's state of one session [MQTT-4.3.2, 4.3.3]. Messages
// are numbered in the order they were sent; the PacketID follows from the
// number, so that an acknowledgement finds its message without a map and a
// reconnect repeats in order [MQTT-4.6.0-1].
type inflight struct {
	ring   []flight // length is a power of two; message n stands at n mod length
	first  uint64   // oldest number that may be open
	next   uint64   // number of the next message
	resend uint64   // numbers below it were sent on this connection
	open   int      // messages not finished
}

// flightRingMin is the length of a new ring.
const flightRingMin = 8

func packetID(n uint64) uint16 { return uint16(n%packetIDs) + 1 }

// full reports whether another message would need a PacketID that is in use.
func (f *inflight) full() bool { return f.next-f.first >= packetIDs }

// add opens the next message and returns its entry.
//
// hot: allocates only when the window grows.
func (f *inflight) add() *flight {
	if int(f.next-f.first) == len(f.ring) {
		f.grow()
	}
	e := f.at(f.next)
	f.next++
	f.open++
	return e
}

func (f *inflight) at(n uint64) *flight { return &f.ring[n&uint64(len(f.ring)-1)] }

func (f *inflight) grow() {
	old := *f
	f.ring = make([]flight, max(flightRingMin, 2*len(old.ring)))
	for n := old.first; n < old.next; n++ {
		*f.at(n) = *old.at(n)
	}
}

// find returns the open message with this PacketID, or nil.
func (f *inflight) find(id uint16) (n uint64, e *flight) {
	if id == 0 || f.open == 0 {
		return 0, nil
	}
	ahead := (uint64(id-1) + packetIDs - f.first%packetIDs) % packetIDs
	n = f.first + ahead
	if n >= f.next {
		return 0, nil
	}
	if e = f.at(n); e.state == flightDone {
		return 0, nil
	}
	return n, e
}

// finish closes an entry and reclaims what is done at the front.
func (f *inflight) finish(e *flight) {
	*e = flight{}
	f.open--
	for f.first < f.next && f.at(f.first).state == flightDone {
		f.first++
	}
	if f.resend < f.first {
		f.resend = f.first
	}
}
