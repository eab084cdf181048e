package client_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/loopmq/loopmq/client"
	"github.com/loopmq/loopmq/codec"
	"github.com/loopmq/loopmq/internal/testkit"
)

// TestWhyIsKept: who comes after the end of the connection is told why it ended, with every QoS and with SUBSCRIBE.
func TestWhyIsKept(t *testing.T) {
	c, p := meet(t, options(codec.V5), connect5, connack5)
	p.send("e0 01 95")
	<-c.Done()
	ctx := context.Background()
	for range 20 { // there is room in the window and the connection is over: either may be seen first
		for qos := range byte(3) {
			err := c.PublishAsync(ctx, &client.Message{Topic: "t", QoS: qos}, nil)
			if e, ok := errors.AsType[*client.ReasonError](err); !ok || e.Reason != codec.PacketTooLarge {
				t.Fatalf("QoS %d: got %v", qos, err)
			}
		}
		_, err := c.Subscribe(ctx, codec.Filter{Name: []byte("a")})
		if e, ok := errors.AsType[*client.ReasonError](err); !ok || e.Reason != codec.PacketTooLarge {
			t.Fatalf("SUBSCRIBE: got %v", err)
		}
	}
}

// TestTooLongToSend: lengths that two bytes do not hold are refused; they would make another packet of what follows.
func TestTooLongToSend(t *testing.T) {
	long := strings.Repeat("x", 65536)
	for what, o := range map[string]client.Options{
		"payload of a will":  {Will: &client.Message{Topic: "w", Payload: []byte(long)}},
		"property of a will": {Will: &client.Message{Topic: "w", Props: contentType(long)}},
		"property of CONNECT": {Props: codec.Properties{
			AuthMethod: []byte(long), Has: codec.PropertySet(0).Add(codec.PropAuthMethod),
		}},
	} {
		o.Version = codec.V5
		_, o = listen(t, o)
		o.ConnectTimeout = 50 * time.Millisecond
		if _, err := client.Dial(context.Background(), o); err == nil || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: got %v", what, err)
		}
	}
	c, p := meet(t, options(codec.V5), connect5, connack5)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_, subscribed := c.Subscribe(ctx, codec.Filter{Name: []byte("a")}, codec.Filter{Name: []byte(long)})
	_, unsubscribed := c.Unsubscribe(ctx, long)
	_, empty := c.Subscribe(ctx, codec.Filter{})
	for what, err := range map[string]error{
		"SUBSCRIBE": subscribed, "UNSUBSCRIBE": unsubscribed, "an empty filter": empty,
		"property": c.Publish(ctx, &client.Message{Topic: "t", Props: contentType(long)}),
	} {
		if err == nil || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: got %v", what, err)
		}
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	p.expect("e0 00").expectEnd()
}

func contentType(text string) codec.Properties {
	return codec.Properties{ContentType: []byte(text), Has: codec.PropertySet(0).Add(codec.PropContentType)}
}

// TestAliasesAskedFor: a server may set as many as CONNECT asked for, and none unasked [MQTT-3.3.2-8].
func TestAliasesAskedFor(t *testing.T) {
	for _, row := range []struct {
		most             uint16
		connect, publish string
		want             string
	}{
		{0, connect5, "30 07 0001 't' 03 23 0001", "Topic Alias 1"},
		{2, "10 11 0004 'MQTT' 05 02 003c 03 22 0002 0001 'c'", "30 07 0001 't' 03 23 0002 30 07 0001 't' 03 23 0003", "Topic Alias 3"},
	} {
		o := options(codec.V5)
		if row.most > 0 {
			o.Props.TopicAliasMaximum, o.Props.Has = row.most, o.Props.Has.Add(codec.PropTopicAliasMaximum)
		}
		c, p := meet(t, o, row.connect, connack5)
		p.send(row.publish)
		select {
		case <-c.Done():
		case <-time.After(patience):
		}
		if err := c.Err(); err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%d asked for: got %v", row.most, err)
		}
	}
}

// TestAnswersPileUp: a server that sends on and reads nothing that it is answered does not fill the memory.
func TestAnswersPileUp(t *testing.T) {
	c, p := meet(t, options(codec.V311), connect3, connack3)
	many := bytes.Repeat(testkit.Bytes("62 02 0007"), 16<<10)
	for range 4096 { // a quarter of a GiB of PUBREL; what the kernel holds of the answers is less
		if _, err := p.Write(many); err != nil {
			break
		}
	}
	select {
	case <-c.Done():
	default:
		t.Fatal("it went on for ever")
	}
	if err := c.Err(); !errors.Is(err, client.ErrAnswersUnread) {
		t.Errorf("ended with %v", err)
	}
}

// TestNothingAfterTheLast: what comes behind the message that was to be the last is neither handed over nor
// acknowledged, so that a session that lasts brings it again.
func TestNothingAfterTheLast(t *testing.T) {
	o := options(codec.V311)
	var got []string
	o.OnMessage = func(m *client.Message) bool {
		got = append(got, string(m.Payload))
		return false
	}
	c, p := meet(t, o, connect3, connack3)
	p.send("34 06 0001 't' 0007 '1' 34 06 0001 't' 0008 '2' 32 06 0001 't' 0009 '3' 30 04 0001 't' '4'").
		expect("50 02 0007 e0 00").expectEnd()
	c.Abort()
	if strings.Join(got, " ") != "1" {
		t.Errorf("handed over: %q", got)
	}
}

// TestServerLimits: what CONNACK rules out is not sent [MQTT-3.2.2-11] [MQTT-3.2.2-14] [MQTT-3.2.2-15] [MQTT-3.2.2-17].
func TestServerLimits(t *testing.T) {
	c, p := meet(t, options(codec.V5), connect5, "20 0f 00 00 0c 24 01 25 00 27 00000010 22 0002")
	ctx := context.Background()
	alias := codec.Properties{TopicAlias: 3, Has: codec.PropertySet(0).Add(codec.PropTopicAlias)}
	for _, row := range []struct {
		m    client.Message
		want codec.Reason
	}{
		{client.Message{Topic: "t", QoS: 2}, codec.QoSNotSupported},
		{client.Message{Topic: "t", Retain: true}, codec.RetainNotSupported},
		{client.Message{Topic: "t", Payload: []byte("0123456789a")}, codec.PacketTooLarge}, // 17 bytes
		{client.Message{Topic: "t", QoS: 1, Payload: []byte("012345678")}, codec.PacketTooLarge},
		{client.Message{Topic: "t", Props: alias}, codec.TopicAliasInvalid},
	} {
		err := c.PublishAsync(ctx, &row.m, nil)
		if e, ok := errors.AsType[*client.ReasonError](err); !ok || e.Reason != row.want {
			t.Errorf("QoS %d, retain %v, %d bytes: got %v, want %v", row.m.QoS, row.m.Retain, len(row.m.Payload), err, row.want)
		}
	}
	if _, err := c.Subscribe(ctx, codec.Filter{Name: []byte("0123456789a")}); err == nil {
		t.Error("a SUBSCRIBE of 19 bytes was sent")
	}
	if err := c.Publish(ctx, &client.Message{Topic: "t", Payload: []byte("0123456789")}); err != nil {
		t.Error(err)
	}
	p.expect("30 0e 0001 't' 00 '0123456789'")
}

// TestPingWhileBusy: PINGRESP cannot be read while OnMessage works; the server is not taken for dead then.
func TestPingWhileBusy(t *testing.T) {
	o := options(codec.V311)
	o.KeepAlive = time.Second
	busy := make(chan struct{})
	o.OnMessage = func(*client.Message) bool { <-busy; return true }
	c, p := meet(t, o, "10 0d 0004 'MQTT' 04 02 0001 0001 'c'", connack3)
	free := sync.OnceFunc(func() { close(busy) })
	t.Cleanup(free) // before Abort, which waits for OnMessage
	p.send("30 03 0001 't'").expect("c0 00").send("d0 00").expect("c0 00").send("d0 00").expect("c0 00")
	free()
	p.expect("c0 00") // and now nothing
	<-c.Done()
	if !errors.Is(c.Err(), client.ErrPingTimeout) {
		t.Errorf("ended with %v", c.Err())
	}
}

// lateConn ends the context just when CONNACK has been read.
type lateConn struct {
	net.Conn
	cancel context.CancelFunc
	ended  chan struct{} // by SetDeadline
}

func (c *lateConn) SetDeadline(at time.Time) error {
	defer close(c.ended)
	return c.Conn.SetDeadline(at)
}

func (c *lateConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.cancel()
	<-c.ended
	return n, err
}

// TestTimeIsOverAtCONNACK: a client that Dial returns is not cut off by the end of the context that Dial had.
func TestTimeIsOverAtCONNACK(t *testing.T) {
	p, o := listen(t, options(codec.V311))
	ctx, cancel := context.WithCancel(context.Background())
	late := &lateConn{cancel: cancel, ended: make(chan struct{})}
	late.Conn, _ = o.Dial(ctx, "", "")
	o.Dial = func(context.Context, string, string) (net.Conn, error) { return late, nil }
	if err := p.say(connack3); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Dial(ctx, o); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
