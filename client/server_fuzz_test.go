package client_test

import (
	"context"
	"net"
	"strings"
	"testing"

	"github.com/loopmq/loopmq/client"
	"github.com/loopmq/loopmq/codec"
	"github.com/loopmq/loopmq/internal/testkit"
)

// FuzzServer: whatever a server sends, the client comes to an end with a reason when the connection does, and hands
// over messages that may be, made of what has come.
func FuzzServer(f *testing.F) {
	for _, text := range []string{
		connack3 + "30 04 0001 't' 01 32 05 0001 't' 0007 34 05 0001 't' 0008 62 02 0008 62 02 0009 d0 00",
		connack5 + "30 07 0001 't' 03 23 0001 30 06 0000 03 23 0001 e0 01 95", connack5 + "90 04 0001 00 00 40 03 0001 10 50 02 0001 70 02 0001",
		"20 02 00 05", "15 0303 0002", "30 ffffff7f", connack3 + "36 05 0001 '#' 0000", "20 09 00 00 06 1f 0003 'no!'",
	} {
		f.Add(testkit.Bytes(text), byte(len(text)))
	}
	f.Fuzz(func(t *testing.T, says []byte, version byte) {
		handed := 0
		mine, theirs := net.Pipe()
		o := options(codec.Version(version%3 + 3))
		o.URL, o.Dial = "mqtt://scripted", func(context.Context, string, string) (net.Conn, error) { return mine, nil }
		o.OnMessage = func(m *client.Message) bool {
			handed += len(m.Payload)
			if m.Topic == "" || strings.ContainsAny(m.Topic, "+#\x00") || m.QoS > 2 || m.QoS > 0 && m.PacketID == 0 {
				t.Errorf("handed over %+v", m)
			}
			return true
		}
		gone := make(chan struct{})
		go func() {
			defer close(gone)
			heard := make([]byte, 4096)
			_, _ = theirs.Read(heard)
			go func() {
				for err := error(nil); err == nil; _, err = theirs.Read(heard) {
				}
			}()
			_, _ = theirs.Write(says)
			theirs.Close()
		}()
		c, err := client.Dial(context.Background(), o)
		if err == nil {
			testkit.Receive(t, c.Done(), "the end")
			if err = c.Err(); c.Close() == nil {
				t.Error("closed as if nothing had happened")
			}
		}
		if err == nil || handed > len(says) {
			t.Errorf("%d bytes handed over of %d, and then %v", handed, len(says), err)
		}
		testkit.Receive(t, gone, "the server")
	})
}
