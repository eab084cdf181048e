package conformance

import (
	"bytes"
	"fmt"
	"strconv"
	"sync"
	"testing"
)

// How many hear what is said in a burst, and how much of it they hear.
const (
	wideSubscribers = 3000
	wideMessages    = 40
)

// TestWideFanOut: a burst of messages goes to very many, with QoS 0 and 1, while two
// others have a conversation. Everybody gets every byte in order, also who begins to read when all is over.
func TestWideFanOut(t *testing.T) {
	inTurn(t, options{queuedMessagesMax: 10_000, queuedBytesMax: 64 << 20}, func(t *testing.T, tg target) {
		subs := make([]*conn, wideSubscribers)
		for i := range subs {
			subs[i] = join(t, tg, fmt.Sprint("sub", i), clean).subscribed("w", 1)
		}
		publisher := join(t, tg, "publisher", clean)
		speaker := join(t, tg, "speaker", clean)
		witness := join(t, tg, "witness", clean).subscribed("witness", 0)
		for qos := range byte(2) {
			var burst []byte // and what is heard: its PacketIDs are the first ones of the sessions, too
			for i := range wideMessages {
				payload := fmt.Sprint(i, " ", string(bytes.Repeat([]byte{byte('a' + i%26)}, i*i%500)))
				burst = append(burst, publish(0x30|qos<<1, i+1, "w", payload)...)
			}
			var all sync.WaitGroup
			failed := make(chan error, len(subs))
			for _, c := range subs[1:] {
				all.Go(func() { failed <- c.hearWide(qos, burst) })
			}
			all.Go(func() {
				if err := publisher.tell(burst); err != nil {
					failed <- err
				}
			})
			for i := range wideMessages {
				speaker.send(publish(0x30, 0, "witness", strconv.Itoa(i)))
				witness.expect(publish(0x30, 0, "witness", strconv.Itoa(i)))
			}
			all.Wait()
			failed <- subs[0].hearWide(qos, burst)
			close(failed)
			for err := range failed {
				if err != nil {
					t.Fatalf("QoS %d: %v", qos, err)
				}
			}
			for i := range wideMessages * int(qos) {
				publisher.expect(puback(i + 1))
			}
		}
	})
}

// hearWide reads what is wanted, byte for byte, and acknowledges it.
func (c *conn) hearWide(qos byte, want []byte) error {
	id := 0
	for len(want) > 0 {
		p, err := c.next()
		if err != nil {
			return fmt.Errorf("%s: %d more bytes are wanted, got %w", c.name, len(want), err)
		}
		if !bytes.HasPrefix(want, p) {
			return fmt.Errorf("%s: want %s, got %s", c.name, describe(want[:min(len(want), 20)]), describe(p))
		}
		want = want[len(p):]
		if id++; qos == 1 {
			if err := c.tell(puback(id)); err != nil {
				return err
			}
		}
	}
	return nil
}
