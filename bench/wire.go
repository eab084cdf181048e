//go:build linux

package bench

import (
	"encoding/binary"
	"fmt"
)

// First bytes of the MQTT 3.1.1 packets that a generator meets.
const (
	firstConnack = 0x20
	firstPublish = 0x30 // QoS 0, not retained, no duplicate
	firstPuback  = 0x40
	firstPubrec  = 0x50
	firstPubrel  = 0x62
	firstPubcomp = 0x70
	firstSuback  = 0x90
)

// ackBytes is the length of every acknowledgement.
const ackBytes = 4

// disconnectFrame ends a connection in good order.
const disconnectFrame = "\xe0\x00"

// cycleFrames is how many frames a publisher encodes once and sends over and
// over, fewer when they are large. Their packet identifiers are 1 to
// cycleFrames, many more than a window.
const (
	cycleFrames   = 4096
	randomFrames  = 128 << 10 // where each has a topic of its own
	cycleBytesMax = 32 << 20
)

func appendText(dst []byte, s string) []byte {
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(s)))
	return append(dst, s...)
}

// appendPacket adds a fixed header and its body.
func appendPacket(dst []byte, first byte, body []byte) []byte {
	dst = binary.AppendUvarint(append(dst, first), uint64(len(body)))
	return append(dst, body...)
}

// connectFrame asks for a session without keep alive.
func connectFrame(clientID string, clean bool) []byte {
	flags := byte(0)
	if clean {
		flags = 0x02
	}
	body := append(appendText(nil, "MQTT"), 4, flags, 0, 0)
	return appendPacket(nil, 0x10, appendText(body, clientID))
}

// subscribeFrame subscribes to filters.
func subscribeFrame(qos byte, filters ...string) []byte {
	body := []byte{0, 1}
	for _, f := range filters {
		body = append(appendText(body, f), qos)
	}
	return appendPacket(nil, 0x82, body)
}

// publishFrame is one PUBLISH.
func publishFrame(first byte, topic string, id int, payload []byte) []byte {
	body := appendText(nil, topic)
	if first&6 != 0 {
		body = binary.BigEndian.AppendUint16(body, uint16(id))
	}
	return appendPacket(nil, first, append(body, payload...))
}

// text is a payload of n bytes.
func text(n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = 'a' + byte(i%26)
	}
	return p
}

// shape is where things stand in the PUBLISH frames of a scenario.
type shape struct {
	frameBytes int
	idOffset   int // of the packet identifier; 0 when there is none
	topicFrom  int // where the topic stands
	topicTo    int
	varies     bool // not every frame has the same topic
}

// publishCycle encodes PUBLISH packets, one behind the other, on topics of
// equal length.
func publishCycle(topic func(i int) string, most int, qos byte, payloadBytes int) ([]byte, shape) {
	payload := text(payloadBytes)
	first := publishFrame(firstPublish|qos<<1, topic(0), 1, payload)
	frames := max(16, min(most, cycleBytesMax/len(first)))
	sh := shape{frameBytes: len(first)}
	head := len(first) - payloadBytes
	if qos > 0 {
		sh.idOffset = head - 2
		head -= 2
	}
	sh.topicFrom, sh.topicTo = head-len(topic(0)), head
	cycle := make([]byte, 0, frames*len(first))
	for id := 1; id <= frames; id++ {
		cycle = append(cycle, publishFrame(firstPublish|qos<<1, topic(id-1), id, payload)...)
	}
	return cycle, sh
}

// expect checks an answer of the handshake.
func expect(got []byte, first byte, refusedFrom byte, what string) error {
	if got[0] != first || got[len(got)-1] >= refusedFrom {
		return fmt.Errorf("%s answered with % x", what, got)
	}
	return nil
}
