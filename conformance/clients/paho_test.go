package clients

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/autopaho"
	"github.com/eclipse/paho.golang/paho"

	"github.com/loopmq/loopmq/internal/testkit"
)

// message is what a test compares of a PUBLISH.
func message(p *paho.Publish) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s qos %d", p.Topic, p.Payload, p.QoS)
	if p.Retain {
		b.WriteString(" retained")
	}
	q := p.Properties
	for _, u := range q.User {
		fmt.Fprintf(&b, " user %s=%s", u.Key, u.Value)
	}
	if q.ContentType != "" {
		fmt.Fprintf(&b, " type %s", q.ContentType)
	}
	if q.ResponseTopic != "" {
		fmt.Fprintf(&b, " answer to %s with %s", q.ResponseTopic, q.CorrelationData)
	}
	if q.MessageExpiry != nil {
		b.WriteString(" expires")
	}
	if q.SubscriptionIdentifier != nil {
		fmt.Fprintf(&b, " subscription %d", *q.SubscriptionIdentifier)
	}
	return b.String()
}

// received collects the messages of one client of Paho.
type received chan string

func (r received) take(p paho.PublishReceived) (bool, error) {
	r <- message(p.Packet)
	return true, nil
}

// gets expects these messages, one after the other.
func (r received) gets(t *testing.T, want ...string) {
	t.Helper()
	for _, w := range want {
		select {
		case got := <-r:
			if got != w {
				t.Fatalf("paho.golang received:\nwant %q\n got %q", w, got)
			}
		case <-time.After(patience):
			t.Fatalf("paho.golang received:\nwant %q\n got nothing for %v", w, patience)
		}
	}
}

func deadline(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// pahoConnects connects a client of 5.0 with clean start.
func pahoConnects(t *testing.T, addr string, cp *paho.Connect) (*paho.Client, received, *paho.Connack) {
	t.Helper()
	sock, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		t.Fatal(err)
	}
	got := make(received, 100)
	c := paho.NewClient(paho.ClientConfig{
		ClientID: cp.ClientID, Conn: sock, PacketTimeout: patience,
		OnPublishReceived: []func(paho.PublishReceived) (bool, error){got.take},
	})
	cp.CleanStart, cp.KeepAlive = true, 60
	ack, err := c.Connect(deadline(t), cp)
	if err != nil {
		t.Fatalf("paho.golang %s: connecting: %v", cp.ClientID, err)
	}
	t.Cleanup(func() { _ = c.Disconnect(&paho.Disconnect{}) }) // the test may have cut it
	return c, got, ack
}

func pahoSubscribes(t *testing.T, c *paho.Client, id int, subs ...paho.SubscribeOptions) {
	t.Helper()
	s := &paho.Subscribe{Subscriptions: subs}
	if id != 0 {
		s.Properties = &paho.SubscribeProperties{SubscriptionIdentifier: &id}
	}
	ack, err := c.Subscribe(deadline(t), s)
	if err != nil {
		t.Fatalf("paho.golang: subscribing to %v: %v", subs, err)
	}
	for i, code := range ack.Reasons {
		if code != subs[i].QoS {
			t.Fatalf("paho.golang: subscribing to %v: want its QoS, got reason code %#x", subs[i], code)
		}
	}
}

func pahoPublishes(t *testing.T, c *paho.Client, p *paho.Publish) {
	t.Helper()
	if _, err := c.Publish(deadline(t), p); err != nil {
		t.Fatalf("paho.golang: publishing %s: %v", p.Payload, err)
	}
}

// TestPahoProperties: every property of a message reaches the subscriber, and
// those of CONNECT are answered.
func TestPahoProperties(t *testing.T) {
	each(t, func(t *testing.T, addr string) {
		c, got, ack := pahoConnects(t, addr, &paho.Connect{Properties: &paho.ConnectProperties{
			SessionExpiryInterval: new(uint32(30)), ReceiveMaximum: new(uint16(5)), TopicAliasMaximum: new(uint16(3)),
			RequestProblemInfo: true, User: paho.UserProperties{{Key: "who", Value: "paho"}},
		}})
		if ack.ReasonCode != 0 || ack.SessionPresent || ack.Properties.AssignedClientID == "" {
			t.Fatalf("CONNACK: want success, a new session and a ClientID, got %v", ack)
		}
		if !ack.Properties.SharedSubAvailable || !ack.Properties.SubIDAvailable || !ack.Properties.RetainAvailable {
			t.Errorf("CONNACK: want everything available, got %v", ack.Properties)
		}
		pahoSubscribes(t, c, 42, paho.SubscribeOptions{Topic: "t/+", QoS: 2})
		for qos := range byte(3) {
			pahoPublishes(t, c, &paho.Publish{
				Topic: "t/1", QoS: qos, Payload: []byte("hello"),
				Properties: &paho.PublishProperties{
					ContentType: "text/plain", ResponseTopic: "answers", CorrelationData: []byte("c1"),
					MessageExpiry: new(uint32(60)), User: paho.UserProperties{{Key: "a", Value: "b"}, {Key: "a", Value: "c"}},
				},
			})
			got.gets(t, fmt.Sprintf("t/1 hello qos %d user a=b user a=c type text/plain answer to answers with c1 "+
				"expires subscription 42", qos))
		}
	})
}

// TestPahoMessageExpires: a retained message is given to subscribers until its
// time is over, and not after.
func TestPahoMessageExpires(t *testing.T) {
	each(t, func(t *testing.T, addr string) {
		c, got, _ := pahoConnects(t, addr, &paho.Connect{ClientID: "expiry"})
		from := time.Now()
		pahoPublishes(t, c, &paho.Publish{
			Topic: "t", QoS: 1, Retain: true, Payload: []byte("old"),
			Properties: &paho.PublishProperties{MessageExpiry: new(uint32(1))},
		})
		for rounds := 0; ; rounds++ {
			pahoSubscribes(t, c, 0, paho.SubscribeOptions{Topic: "t", QoS: 1})
			pahoPublishes(t, c, &paho.Publish{Topic: "t", QoS: 1, Payload: []byte("end")})
			var first string
			select {
			case first = <-got:
			case <-time.After(patience):
			}
			if first == "t end qos 1" {
				if rounds == 0 || time.Since(from) < time.Second {
					t.Fatalf("retained message with a second to live: gone %v after it was sent", time.Since(from))
				}
				return
			}
			if first != "t old qos 1 retained expires" || time.Since(from) > patience {
				t.Fatalf("retained message with a second to live: got %q after %v", first, time.Since(from))
			}
			got.gets(t, "t end qos 1")
		}
	})
}

// TestPahoTopicAlias: a topic is named once and then known by its number.
func TestPahoTopicAlias(t *testing.T) {
	each(t, func(t *testing.T, addr string) {
		c, got, ack := pahoConnects(t, addr, &paho.Connect{ClientID: "alias"})
		if ack.Properties.TopicAliasMaximum == nil || *ack.Properties.TopicAliasMaximum == 0 {
			t.Fatalf("CONNACK: want a Topic Alias Maximum, got %v", ack.Properties)
		}
		pahoSubscribes(t, c, 0, paho.SubscribeOptions{Topic: "a/long/topic", QoS: 1})
		for _, topic := range []string{"a/long/topic", "", ""} {
			pahoPublishes(t, c, &paho.Publish{
				Topic: topic, QoS: 1, Payload: []byte("m"),
				Properties: &paho.PublishProperties{TopicAlias: new(uint16(1))},
			})
			got.gets(t, "a/long/topic m qos 1")
		}
	})
}

// TestPahoSubscriptionOptions: No Local, Retain As Published, Retain Handling.
func TestPahoSubscriptionOptions(t *testing.T) {
	each(t, func(t *testing.T, addr string) {
		c, got, _ := pahoConnects(t, addr, &paho.Connect{ClientID: "options"})
		pahoPublishes(t, c, &paho.Publish{Topic: "old", QoS: 1, Retain: true, Payload: []byte("old")})
		pahoSubscribes(t, c, 1, paho.SubscribeOptions{Topic: "mine", QoS: 1, NoLocal: true})
		pahoSubscribes(t, c, 2, paho.SubscribeOptions{Topic: "kept", QoS: 1, RetainAsPublished: true})
		pahoSubscribes(t, c, 3, paho.SubscribeOptions{Topic: "old", QoS: 1, RetainHandling: 2})
		pahoSubscribes(t, c, 4, paho.SubscribeOptions{Topic: "plain", QoS: 1})
		for _, topic := range []string{"mine", "kept", "plain"} {
			pahoPublishes(t, c, &paho.Publish{Topic: topic, QoS: 1, Retain: true, Payload: []byte("m")})
		}
		got.gets(t, "kept m qos 1 retained subscription 2", "plain m qos 1 subscription 4")
		other, _, _ := pahoConnects(t, addr, &paho.Connect{ClientID: "other"})
		pahoPublishes(t, other, &paho.Publish{Topic: "mine", QoS: 1, Payload: []byte("from another")})
		got.gets(t, "mine from another qos 1 subscription 1")
	})
}

// TestPahoWill: the will of a client that is cut off comes with its user
// property; v0.23.0 sends none of the other properties of a will.
func TestPahoWill(t *testing.T) {
	each(t, func(t *testing.T, addr string) {
		c, got, _ := pahoConnects(t, addr, &paho.Connect{ClientID: "watch"})
		pahoSubscribes(t, c, 0, paho.SubscribeOptions{Topic: "will", QoS: 2})
		dying, _, _ := pahoConnects(t, addr, &paho.Connect{
			ClientID:       "dying",
			WillMessage:    &paho.WillMessage{Topic: "will", QoS: 2, Payload: []byte("gone")},
			WillProperties: &paho.WillProperties{User: paho.UserProperties{{Key: "a", Value: "b"}}},
		})
		dying.TerminateConnectionForTest()
		got.gets(t, "will gone qos 2 user a=b")
	})
}

// gate dials for a client and can hold it off.
type gate struct {
	sync.Mutex
	sock   net.Conn
	closed bool
}

func (g *gate) dial(ctx context.Context, addr string) (net.Conn, error) {
	g.Lock()
	defer g.Unlock()
	if g.closed {
		return nil, errors.New("the test's gate is closed")
	}
	var d net.Dialer
	sock, err := d.DialContext(ctx, "tcp", addr)
	g.sock = sock
	return sock, err
}

// shut cuts the connection and lets no other through.
func (g *gate) shut() {
	g.Lock()
	defer g.Unlock()
	g.closed = true
	g.sock.Close()
}

func (g *gate) open() {
	g.Lock()
	defer g.Unlock()
	g.closed = false
}

// TestAutopahoResumes: a client that reconnects by itself finds its session and
// what came for it meanwhile.
func TestAutopahoResumes(t *testing.T) {
	each(t, func(t *testing.T, addr string) {
		got, ups, downs := make(received, 100), make(chan bool, 10), make(chan struct{}, 10)
		var g gate
		ctx, cancel := context.WithCancel(context.Background())
		cm, err := autopaho.NewConnection(ctx, autopaho.ClientConfig{
			ServerUrls: []*url.URL{{Scheme: "mqtt", Host: addr}}, KeepAlive: 60, SessionExpiryInterval: 100,
			CleanStartOnInitialConnection: true,
			ReconnectBackoff:              func(int) time.Duration { return 5 * time.Millisecond },
			AttemptConnection: func(ctx context.Context, _ autopaho.ClientConfig, _ *url.URL) (net.Conn, error) {
				return g.dial(ctx, addr)
			},
			OnConnectionUp:   func(_ *autopaho.ConnectionManager, ack *paho.Connack) { ups <- ack.SessionPresent },
			OnConnectionDown: func() bool { downs <- struct{}{}; return true },
			ClientConfig: paho.ClientConfig{
				ClientID:          "auto",
				OnPublishReceived: []func(paho.PublishReceived) (bool, error){got.take},
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { cancel(); <-cm.Done() })
		await(t, ups, false, "connection")
		if _, err := cm.Subscribe(deadline(t), &paho.Subscribe{
			Subscriptions: []paho.SubscribeOptions{{Topic: "t", QoS: 2}},
		}); err != nil {
			t.Fatalf("autopaho: subscribing: %v", err)
		}
		c, _, _ := pahoConnects(t, addr, &paho.Connect{ClientID: "publisher"})

		g.shut()
		await(t, downs, struct{}{}, "loss of its connection")
		for i := range byte(6) {
			pahoPublishes(t, c, &paho.Publish{Topic: "t", QoS: 1 + i%2, Payload: fmt.Append(nil, i)})
		}
		g.open()
		await(t, ups, true, "connection with session present")
		for i := range byte(6) {
			got.gets(t, fmt.Sprintf("t %d qos %d", i, 1+i%2))
		}
		if _, err := cm.Publish(deadline(t), &paho.Publish{Topic: "t", QoS: 2, Payload: []byte("again")}); err != nil {
			t.Fatalf("autopaho: publishing after its return: %v", err)
		}
		got.gets(t, "t again qos 2")

		// The ClientID is taken over: the broker itself ends the connection.
		pahoConnects(t, addr, &paho.Connect{ClientID: "auto"})
		await(t, downs, struct{}{}, "loss of its connection to another with its ClientID")
	})
}

func await[T comparable](t *testing.T, c chan T, want T, what string) {
	t.Helper()
	if got := testkit.Receive(t, c, "autopaho's "+what); got != want {
		t.Fatalf("autopaho: its %s: want %v, got %v", what, want, got)
	}
}
