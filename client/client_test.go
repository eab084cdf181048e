package client_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/loopmq/loopmq/client"
	"github.com/loopmq/loopmq/codec"
)

func TestConnectPacket(t *testing.T) {
	will := &client.Message{Topic: "w", Payload: []byte("bye"), QoS: 1, Retain: true}
	o := client.Options{ClientID: "c", Username: "u", Password: []byte{}, KeepAlive: -1, Version: codec.V31, Will: will}
	meet(t, o, "10 1c 0006 'MQIsdp' 03 ec 0000 0001 'c' 0001 'w' 0003 'bye' 0001 'u' 0000", connack3)
	o.Version = codec.V5
	o.Props.SessionExpirySeconds = 9
	o.Props.Has = o.Props.Has.Add(codec.PropSessionExpiry)
	will.Props.WillDelaySeconds = 7
	will.Props.Has = will.Props.Has.Add(codec.PropWillDelay)
	c, _ := meet(t, o, "10 26 0004 'MQTT' 05 ec 0000 05 11 00000009 0001 'c' 05 18 00000007 0001 'w' 0003 'bye' 0001 'u' 0000", "20 06 01 00 03 21 0005")
	if !c.SessionPresent() || c.Connack().Props.ReceiveMaximum != 5 {
		t.Errorf("session present %v, Receive Maximum %d", c.SessionPresent(), c.Connack().Props.ReceiveMaximum)
	}
}

func TestConnectRefused(t *testing.T) {
	for _, row := range []struct {
		version codec.Version
		connack string
		says    string
	}{
		{codec.V311, "20 02 00 05", "connection refused: not authorized"},
		{codec.V311, "20 02 00 09", "connection refused: return code 9"},
		{codec.V5, "20 09 00 87 06 1f 0003 'no!'", `connection refused: not authorized ("no!")`},
		{codec.V5, "20 02 00 84", "connection refused: unsupported protocol version"},
	} {
		p, o := listen(t, options(row.version))
		go func() { _ = p.say(row.connack) }()
		_, err := client.Dial(context.Background(), o)
		e, ok := errors.AsType[*client.ConnectError](err)
		if !ok || e.Error() != row.says {
			t.Errorf("%s: got %v, want %s", row.connack, err, row.says)
		}
	}
}

func TestConnectFails(t *testing.T) {
	for connack, want := range map[string]string{
		"":               "not speak MQTT 3.1.1",
		"30 03 0001 't'": "the answer to CONNECT is PUBLISH",
		"20 02 02 00":    "reserved flags",
		"'HTTP/1.1'":     "speaks HTTP there; use ws://",
		"48 00":          "flags",
		"15 0303 0002":   "speaks TLS there; use mqtts://",
	} {
		p, o := listen(t, options(codec.V311))
		go func() { _ = p.say(connack); p.Close() }()
		if _, err := client.Dial(context.Background(), o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", connack, err, want)
		}
	}
	_, o := listen(t, options(codec.V311))
	o.ConnectTimeout = time.Millisecond
	if _, err := client.Dial(context.Background(), o); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a silent server: got %v", err)
	}
	for url, want := range map[string]string{
		"localhost": "no scheme", "http://h": "not known", "mqtt://": "no host", "unix://": "no path", "mqtt://h:x": "port",
	} {
		if _, err := client.Dial(context.Background(), client.Options{URL: url}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", url, err, want)
		}
	}
}

func TestPublishHandshakes(t *testing.T) {
	c, p := meet(t, options(codec.V311), connect3, connack3)
	ctx := context.Background()
	if err := c.Publish(ctx, &client.Message{Topic: "t", Payload: []byte("0"), Retain: true}); err != nil {
		t.Fatal(err)
	}
	p.expect("31 04 0001 't' '0'")
	results := make(chan error, 2)
	for qos := range byte(2) {
		err := c.PublishAsync(ctx, &client.Message{Topic: "t", QoS: qos + 1}, func(err error) { results <- err })
		if err != nil {
			t.Fatal(err)
		}
	}
	p.expect("32 05 0001 't' 0001 34 05 0001 't' 0002").send("40 02 0001")
	if err := <-results; err != nil {
		t.Error(err)
	}
	p.send("40 02 0002 70 02 0009 50 02 0002").expect("62 02 0002") // strays harm nobody
	select {
	case err := <-results:
		t.Fatalf("QoS 2 is done before PUBCOMP: %v", err)
	default:
	}
	p.send("70 02 0002")
	if err := <-results; err != nil {
		t.Error(err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	p.expect("e0 00").expectEnd()
	if err := c.Publish(ctx, &client.Message{Topic: "t"}); !errors.Is(err, client.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

func TestPublishRefused5(t *testing.T) {
	c, p := meet(t, options(codec.V5), connect5, connack5)
	for qos, answer := range map[byte]string{1: "40 09 %04x 97 05 1f 0002 'no'", 2: "50 09 %04x 97 05 1f 0002 'no'"} {
		done := make(chan error, 1)
		if err := c.PublishAsync(context.Background(), &client.Message{Topic: "t", QoS: qos}, func(err error) { done <- err }); err != nil {
			t.Fatal(err)
		}
		head := make([]byte, 8)
		if _, err := p.Read(head); err != nil {
			t.Fatal(err)
		}
		p.send(fmt.Sprintf(answer, int(head[5])<<8|int(head[6])))
		err := <-done
		if e, ok := errors.AsType[*client.ReasonError](err); !ok || e.Reason != codec.QuotaExceeded || !strings.Contains(e.Error(), `quota exceeded ("no")`) {
			t.Errorf("QoS %d: got %v", qos, err)
		}
	}
}

// TestWindow: no more are in flight than the smaller of both limits.
func TestWindow(t *testing.T) {
	o := options(codec.V5)
	o.InflightMax = 3
	c, p := meet(t, o, connect5, "20 06 00 00 03 21 0002")
	ctx := context.Background()
	third := make(chan error, 1)
	for range 2 {
		if err := c.PublishAsync(ctx, &client.Message{Topic: "t", QoS: 1}, nil); err != nil {
			t.Fatal(err)
		}
	}
	go func() { third <- c.PublishAsync(ctx, &client.Message{Topic: "u", QoS: 1}, nil) }()
	p.expect("32 06 0001 't' 0001 00 32 06 0001 't' 0002 00")
	short, cancel := context.WithTimeout(ctx, 10*time.Millisecond)
	defer cancel()
	if err := c.PublishAsync(short, &client.Message{Topic: "v", QoS: 1}, nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("window is full: got %v", err)
	}
	p.send("40 02 0002").expect("32 06 0001 'u' 0003 00")
	if err := <-third; err != nil {
		t.Error(err)
	}
}

func TestReceive(t *testing.T) {
	o := options(codec.V5)
	var got []string
	all := make(chan struct{})
	o.OnMessage = func(m *client.Message) bool {
		got = append(got, fmt.Sprintf("%s=%s q%d id%d", m.Topic, m.Payload, m.QoS, m.PacketID))
		if string(m.Payload) == "last" {
			close(all)
		}
		return true
	}
	o.Props.TopicAliasMaximum, o.Props.Has = 1, o.Props.Has.Add(codec.PropTopicAliasMaximum)
	_, p := meet(t, o, "10 11 0004 'MQTT' 05 02 003c 03 22 0001 0001 'c'", connack5)
	p.send("30 08 0002 'ab' 03 23 0001" + "30 07 0000 03 23 0001 'x'" + "32 07 0001 't' 0007 00 '1'").expect("40 02 0007")
	p.send("34 07 0001 't' 0007 00 '2'").expect("50 02 0007")
	p.send("3c 07 0001 't' 0007 00 '2'").expect("50 02 0007") // again: not handed over twice
	p.send("62 02 0007").expect("70 02 0007").send("62 02 0007").expect("70 02 0007")
	p.send("34 0a 0001 't' 0007 00 'last'").expect("50 02 0007")
	<-all
	want := "ab= q0 id0,ab=x q0 id0,t=1 q1 id7,t=2 q2 id7,t=last q2 id7"
	if strings.Join(got, ",") != want {
		t.Errorf("got  %s\nwant %s", strings.Join(got, ","), want)
	}
}

// TestLastMessage: the connection ends behind the acknowledgement.
func TestLastMessage(t *testing.T) {
	o := options(codec.V311)
	o.OnMessage = func(*client.Message) bool { return false }
	c, p := meet(t, o, connect3, connack3)
	p.send("32 05 0001 't' 0007").expect("40 02 0007 e0 00").expectEnd()
	<-c.Done()
	if !errors.Is(c.Err(), client.ErrClosed) {
		t.Errorf("ended with %v", c.Err())
	}
}

func TestSubscribeAndUnsubscribe(t *testing.T) {
	c, p := meet(t, options(codec.V5), connect5, connack5)
	type answer struct {
		codes []codec.Reason
		err   error
	}
	got := make(chan answer, 1)
	ask := func(f func() ([]codec.Reason, error)) {
		go func() { codes, err := f(); got <- answer{codes, err} }()
	}
	ask(func() ([]codec.Reason, error) {
		return c.Subscribe(context.Background(), codec.Filter{Name: []byte("a"), QoS: 2, NoLocal: true}, codec.Filter{Name: []byte("#")})
	})
	p.expect("82 0b 0001 00 0001 'a' 06 0001 '#' 00").send("90 05 0001 00 02 87")
	if a := <-got; a.err != nil || len(a.codes) != 2 || a.codes[0] != 2 || a.codes[1] != codec.NotAuthorized {
		t.Errorf("SUBACK: %v, %v", a.codes, a.err)
	}
	ask(func() ([]codec.Reason, error) { return c.Unsubscribe(context.Background(), "a") })
	p.expect("a2 06 0002 00 0001 'a'").send("b0 04 0002 00 11")
	if a := <-got; a.err != nil || len(a.codes) != 1 || a.codes[0] != codec.NoSubscriptionExisted {
		t.Errorf("UNSUBACK: %v, %v", a.codes, a.err)
	}
	ask(func() ([]codec.Reason, error) {
		return c.Subscribe(context.Background(), codec.Filter{Name: []byte("a")})
	})
	p.expect("82 07 0003 00 0001 'a' 00").send("90 05 0003 00 00 00")
	if a := <-got; a.err == nil {
		t.Error("two codes for one filter were taken")
	}
}

// TestServerEnds: everybody who waits is told why.
func TestServerEnds(t *testing.T) {
	for say, want := range map[string]string{
		"":                     "server closed the connection",
		"e0 01 8b":             "DISCONNECT says server shutting down",
		"82 06 0001 0001 61":   "which only a client sends",
		"36 05 0001 't' 0001 ": "QoS 3",
		"d1 00":                "flags",
		"90 02 0000":           "PacketID 0",
	} {
		version, hello, welcome := codec.V311, connect3, connack3
		if strings.HasPrefix(say, "e0") {
			version, hello, welcome = codec.V5, connect5, connack5
		}
		c, p := meet(t, options(version), hello, welcome)
		waiting := make(chan error, 1)
		if err := c.PublishAsync(context.Background(), &client.Message{Topic: "t", QoS: 1}, func(err error) { waiting <- err }); err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(say, "82") {
			say += "00"
		}
		p.send(say)
		if say == "" {
			p.Close()
		}
		<-c.Done()
		if err := <-waiting; err == nil || !strings.Contains(err.Error(), want) || !errors.Is(err, c.Err()) {
			t.Errorf("%q: the one who waits got %v, want %q", say, err, want)
		}
	}
}

func TestKeepAlive(t *testing.T) {
	o := options(codec.V311)
	o.KeepAlive = time.Second
	c, p := meet(t, o, "10 0d 0004 'MQTT' 04 02 0001 0001 'c'", connack3)
	p.expect("c0 00").send("d0 00").expect("c0 00") // and now nothing
	<-c.Done()
	if !errors.Is(c.Err(), client.ErrPingTimeout) {
		t.Errorf("ended with %v", c.Err())
	}
}

func TestBadMessages(t *testing.T) {
	c, _ := meet(t, options(codec.V311), connect3, connack3)
	for _, m := range []*client.Message{{Topic: ""}, {Topic: "a/+"}, {Topic: "#"}, {Topic: "t", QoS: 3}, {Topic: strings.Repeat("x", 65536)}} {
		if err := c.Publish(context.Background(), m); err == nil {
			t.Errorf("topic %.10q QoS %d was taken", m.Topic, m.QoS)
		}
	}
}

// TestSlowServer: what is queued for a server that does not read is bounded.
func TestSlowServer(t *testing.T) {
	c, _ := meet(t, options(codec.V311), connect3, connack3)
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	m := &client.Message{Topic: "t", Payload: make([]byte, 1<<20)}
	var err error
	for n := 0; err == nil && n < 1000; n++ {
		err = c.Publish(ctx, m)
	}
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a gigabyte was queued, or: %v", err)
	}
	if err := within(t, "Abort", func() error { c.Abort(); return nil }); err != nil {
		t.Error(err)
	}
}

func TestMatches(t *testing.T) {
	for filter, topics := range map[string]map[string]bool{
		"a/b":    {"a/b": true, "a": false, "a/b/c": false, "a/c": false},
		"a/#":    {"a": true, "a/": true, "a/b/c": true, "ab": false},
		"#":      {"a": true, "/": true, "$SYS/x": false},
		"+":      {"a": true, "": true, "a/b": false, "$x": false, "/": false},
		"+/+":    {"/a": true, "a/b": true, "a": false},
		"$SYS/#": {"$SYS/x": true, "$SYS": true, "x": false},
		"a/+/c":  {"a/b/c": true, "a//c": true, "a/b": false, "a/b/c/d": false},
	} {
		for topic, want := range topics {
			if got := client.Matches(filter, topic); got != want {
				t.Errorf("%q on %q: %v", filter, topic, got)
			}
		}
	}
}
