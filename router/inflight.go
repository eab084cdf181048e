package router

import "sort"

// packetIDs is how many PacketIDs there are: 1 to 65535 [MQTT-2.3.1-1].
const packetIDs = 65535

// flightState says what a sent message waits for.
type flightState byte

const (
	flightPuback  flightState = iota // QoS 1 sent
	flightPubrec                     // QoS 2 sent
	flightPubcomp                    // PUBREC seen, PUBREL sent; the message is released
)

// flight is one message sent and not finished.
type flight struct {
	delivery
	state flightState
	sent  bool   // at least once
	n     uint64 // number in the order of sending
}

func (e *flight) packetID() uint16 { return packetID(e.n) }

// inflight is the sender's state of one session [MQTT-4.3.2, 4.3.3]. Messages
// are numbered in the order they were sent; the PacketID follows from the
// number, so that an acknowledgement finds its message without a map and a
// reconnect repeats in order [MQTT-4.6.0-1]. Only what is open takes a place:
// one message that a client never acknowledges holds up nothing but itself.
type inflight struct {
	ring   []flight // length is 0 or a power of two
	head   int      // where the oldest stands
	open   int      // messages not finished, in order of their numbers
	next   uint64   // number of the next message
	resend uint64   // numbers below it were sent on this connection
}

// flightRingMin is the length of a new ring.
const flightRingMin = 8

func packetID(n uint64) uint16 { return uint16(n%packetIDs) + 1 }

// nextID returns the PacketID of the next message, passing over those in use.
// There is one as long as fewer than packetIDs messages are open.
//
// hot: no allocation.
func (f *inflight) nextID() uint16 {
	for f.open > 0 && f.next-f.at(0).n >= packetIDs && f.find(packetID(f.next)) != nil {
		if f.resend == f.next {
			f.resend++
		}
		f.next++
	}
	return packetID(f.next)
}

// add opens the message that nextID was asked for.
//
// hot: allocates only when the window grows.
func (f *inflight) add() *flight {
	if f.open == len(f.ring) {
		f.grow()
	}
	e := f.at(f.open)
	e.n = f.next
	f.open++
	f.next++
	return e
}

// at returns the i-th oldest open message.
func (f *inflight) at(i int) *flight { return &f.ring[(f.head+i)&(len(f.ring)-1)] }

func (f *inflight) grow() {
	ring := make([]flight, max(flightRingMin, 2*len(f.ring)))
	for i := range f.open {
		ring[i] = *f.at(i)
	}
	f.ring, f.head = ring, 0
}

// find returns the open message with this PacketID, or nil.
//
// hot: no allocation; at once where messages are acknowledged in their order.
func (f *inflight) find(id uint16) *flight {
	if f.open == 0 || id == 0 {
		return nil
	}
	first := f.at(0).n
	if f.wentRound() > 0 {
		for i := range f.open {
			if e := f.at(i); e.packetID() == id {
				return e
			}
		}
		return nil
	}
	n := first + (uint64(id-1)+packetIDs-first%packetIDs)%packetIDs
	if i := f.since(n); i < f.open && f.at(i).n == n {
		return f.at(i)
	}
	return nil
}

// wentRound is how many open messages a search has to look at; 0: it need not
// search. One was held so long that numbers have gone round.
func (f *inflight) wentRound() int {
	if f.open == 0 || f.next-f.at(0).n <= packetIDs {
		return 0
	}
	return f.open
}

// since returns the place of the oldest message with number n or above.
func (f *inflight) since(n uint64) int {
	if f.open == 0 || n <= f.at(0).n {
		return 0
	}
	return sort.Search(f.open, func(i int) bool { return f.at(i).n >= n })
}

// finish closes an entry; it returns how many others move up.
//
// hot: no allocation.
func (f *inflight) finish(e *flight) (moved int) {
	i := f.since(e.n)
	return f.cut(i, i+1)
}

// cut closes the places from one up to another. Those on their shorter side move
// up; it returns how many they are.
//
// hot: no allocation.
func (f *inflight) cut(from, to int) (moved int) {
	gap := to - from
	switch {
	case gap == 0:
	case from < f.open-to:
		moved = from
		for i := from - 1; i >= 0; i-- {
			*f.at(i + gap) = *f.at(i)
		}
		for i := range gap {
			*f.at(i) = flight{}
		}
		f.head = (f.head + gap) & (len(f.ring) - 1)
	default:
		moved = f.open - to
		for i := to; i < f.open; i++ {
			*f.at(i - gap) = *f.at(i)
		}
		for i := f.open - gap; i < f.open; i++ {
			*f.at(i) = flight{}
		}
	}
	f.open -= gap
	return moved
}
