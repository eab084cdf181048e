package conformance

import (
	"fmt"
	"net"
	"net/url"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
)

// pahoClient is a client of Eclipse Paho, which many programs in Go use. What it
// receives goes to got, as text.
type pahoClient struct {
	mqtt.Client
	t    testing.TB
	id   string
	got  chan string
	sock net.Conn
}

// pahoConnects connects a client and expects this session present.
func pahoConnects(t testing.TB, tg target, id string, present bool, change ...func(*mqtt.ClientOptions)) *pahoClient {
	t.Helper()
	p := &pahoClient{t: t, id: id, got: make(chan string, 100)}
	o := mqtt.NewClientOptions().AddBroker("tcp://" + tg.addr()).SetClientID(id).SetCleanSession(true)
	o.SetAutoReconnect(false).SetConnectTimeout(patience).SetOrderMatters(true)
	o.SetDefaultPublishHandler(func(_ mqtt.Client, m mqtt.Message) {
		text := fmt.Sprintf("%s %s qos %d", m.Topic(), m.Payload(), m.Qos())
		if m.Retained() {
			text += " retained"
		}
		p.got <- text
	})
	o.SetCustomOpenConnectionFn(func(u *url.URL, o mqtt.ClientOptions) (c net.Conn, err error) {
		p.sock, err = net.DialTimeout("tcp", u.Host, o.ConnectTimeout)
		return p.sock, err
	})
	for _, f := range change {
		f(o)
	}
	p.Client = mqtt.NewClient(o)
	token := p.Connect()
	p.done("connect", token)
	if got := token.(*mqtt.ConnectToken).SessionPresent(); got != present {
		t.Fatalf("paho %s: want session present %t, got %t", id, present, got)
	}
	t.Cleanup(p.leave)
	return p
}

func pahoPersistent(o *mqtt.ClientOptions) { o.SetCleanSession(false) }

// done waits for what token stands for.
func (p *pahoClient) done(what string, token mqtt.Token) {
	p.t.Helper()
	if !token.WaitTimeout(patience) {
		p.t.Fatalf("paho %s: %s: want an end, got none after %v", p.id, what, patience)
	}
	if err := token.Error(); err != nil {
		p.t.Fatalf("paho %s: %s: want success, got %v", p.id, what, err)
	}
}

func (p *pahoClient) subscribes(filter string, qos byte) {
	p.t.Helper()
	p.done("subscribe "+filter, p.Subscribe(filter, qos, nil))
}

func (p *pahoClient) publishes(topic, payload string, qos byte, retain bool) {
	p.t.Helper()
	p.done("publish "+topic, p.Publish(topic, qos, retain, payload))
}

func (p *pahoClient) receives(want ...string) {
	p.t.Helper()
	for _, w := range want {
		select {
		case got := <-p.got:
			if got != w {
				p.t.Fatalf("paho %s:\nwant %q\n got %q", p.id, w, got)
			}
		case <-time.After(patience):
			p.t.Fatalf("paho %s:\nwant %q\n got nothing for %v", p.id, w, patience)
		}
	}
}

// leave sends DISCONNECT, and waits no longer than that takes.
func (p *pahoClient) leave() { p.Disconnect(uint(patience.Milliseconds())) }

// reset breaks its connection.
func (p *pahoClient) reset() {
	p.t.Helper()
	if err := p.sock.(*net.TCPConn).SetLinger(0); err != nil {
		p.t.Fatal(err)
	}
	p.sock.Close()
}

func TestPahoRoundTrip(t *testing.T) {
	each(t, options{}, func(t *testing.T, tg target) {
		s := pahoConnects(t, tg, "s", false)
		s.subscribes("a/+", 2)
		p := pahoConnects(t, tg, "p", false)
		for i := range 30 {
			qos := byte(i % 3)
			p.publishes("a/b", fmt.Sprint("m", i), qos, false)
			s.receives(fmt.Sprintf("a/b m%d qos %d", i, qos))
		}
		s.done("unsubscribe", s.Unsubscribe("a/+"))
		p.publishes("a/b", "for nobody", 1, false)
		s.subscribes("end", 0)
		p.publishes("end", "x", 0, false)
		s.receives("end x qos 0")
	})
}

// TestPahoResume: what came while the client was away is there when it is back,
// in its order.
func TestPahoResume(t *testing.T) {
	each(t, options{}, func(t *testing.T, tg target) {
		s := pahoConnects(t, tg, "s", false, pahoPersistent)
		s.subscribes("a", 2)
		s.leave()
		p := pahoConnects(t, tg, "p", false)
		p.publishes("a", "one", 1, false)
		p.publishes("a", "two", 2, false)
		s = pahoConnects(t, tg, "s", true, pahoPersistent)
		s.receives("a one qos 1", "a two qos 2")
		p.publishes("a", "three", 1, false)
		s.receives("a three qos 1")
		s.leave()
		pahoConnects(t, tg, "s", false).leave() // a clean session ends it
		pahoConnects(t, tg, "s", false, pahoPersistent)
	})
}

func TestPahoRetained(t *testing.T) {
	each(t, options{}, func(t *testing.T, tg target) {
		p := pahoConnects(t, tg, "p", false)
		p.publishes("r/1", "old", 1, true)
		p.publishes("r/1", "new", 1, true)
		s := pahoConnects(t, tg, "s", false)
		s.subscribes("r/#", 1)
		s.receives("r/1 new qos 1 retained")
		p.publishes("r/1", "live", 1, true)
		s.receives("r/1 live qos 1")
		p.publishes("r/1", "", 1, true)
		s.receives("r/1  qos 1")
		p.publishes("r/2", "the only one", 1, true)
		late := pahoConnects(t, tg, "late", false)
		late.subscribes("r/#", 1)
		late.receives("r/2 the only one qos 1 retained")
	})
}

func TestPahoWill(t *testing.T) {
	each(t, options{}, func(t *testing.T, tg target) {
		watch := pahoConnects(t, tg, "watch", false)
		watch.subscribes("will/#", 2)
		withWill := func(o *mqtt.ClientOptions) { o.SetWill("will/it", o.ClientID+" is gone", 2, true) }
		pahoConnects(t, tg, "tidy", false, withWill).leave()
		pahoConnects(t, tg, "dying", false, withWill).reset()
		watch.receives("will/it dying is gone qos 2")
		late := pahoConnects(t, tg, "late", false)
		late.subscribes("will/it", 2)
		late.receives("will/it dying is gone qos 2 retained")
	})
}
