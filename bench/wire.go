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
	firstSuback  = 0x90
)

const pubackBytes = 4

// cycleFrames is how many frames a publisher encodes once and sends over and
// over. Their packet identifiers are 1 to cycleFrames, many more than a window.
const cycleFrames = 4096

func appendText(dst []byte, s string) []byte {
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(s)))
	return append(dst, s...)
}

// appendPacket adds a fixed header and its body; bodies here stay below the
// 128 × 128 bytes of a two-byte remaining length.
func appendPacket(dst []byte, first byte, body []byte) []byte {
	dst = binary.AppendUvarint(append(dst, first), uint64(len(body)))
	return append(dst, body...)
}

// connectFrame asks for a clean session without keep alive.
func connectFrame(clientID string) []byte {
	body := append(appendText(nil, "MQTT"), 4, 0x02, 0, 0)
	return appendPacket(nil, 0x10, appendText(body, clientID))
}

// subscribeFrame subscribes to one filter.
func subscribeFrame(filter string, qos byte) []byte {
	body := append(appendText([]byte{0, 1}, filter), qos)
	return appendPacket(nil, 0x82, body)
}

// shape is where things stand in the PUBLISH frames of a scenario.
type shape struct {
	frameBytes int
	idOffset   int // of the packet identifier; 0 when there is none
}

// publishCycle encodes cycleFrames PUBLISH packets, one behind the other.
func publishCycle(topic string, qos byte, payloadBytes int) ([]byte, shape) {
	payload := make([]byte, payloadBytes)
	for i := range payload {
		payload[i] = 'a' + byte(i%26)
	}
	var cycle, body []byte
	var sh shape
	for id := 1; id <= cycleFrames; id++ {
		body = appendText(body[:0], topic)
		if qos > 0 {
			body = binary.BigEndian.AppendUint16(body, uint16(id))
		}
		body = append(body, payload...)
		cycle = appendPacket(cycle, firstPublish|qos<<1, body)
		if id == 1 {
			sh.frameBytes = len(cycle)
			if qos > 0 {
				sh.idOffset = len(cycle) - payloadBytes - 2
			}
		}
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
