package broker_test

import (
	"crypto/tls"
	"crypto/x509/pkix"
	"net"
	"runtime"
	"testing"
	"time"

	"github.com/loopmq/loopmq/broker"
	"github.com/loopmq/loopmq/loop"
	"github.com/loopmq/loopmq/router"
)

// Who came by a listener that is gone follows the rules of all the others, in the
// reload that took it away and in later ones.
func TestRulesBehindAListenerThatIsGone(t *testing.T) {
	yes, no := true, false
	passwords := mosquittoPasswd(t, "u", "p")
	cfg := broker.Config{
		Engine: "epoll", PasswordFile: passwords, Anonymous: &yes,
		Listeners: []broker.Listener{{URL: "mqtt://127.0.0.1:0"}},
	}
	b := start(t, cfg)
	c, guest := dial(t, b, 0), dial(t, b, 0)
	expect(t, c, login("c", "u", "p"), connack3)
	expect(t, guest, connect3, connack3)
	subscribe := "\x82\x06\x00\x01\x00\x01t\x00"
	expect(t, c, subscribe, "\x90\x03\x00\x01\x00")

	cfg.Listeners = []broker.Listener{{URL: "mqtt://localhost:0"}}
	cfg.ACLFile = file(t, "acl", "user u\ntopic write t\n")
	reload(t, b, cfg)
	expect(t, c, subscribe, "\x90\x03\x00\x01\x80")
	expect(t, guest, subscribe, "\x90\x03\x00\x01\x80")

	cfg.ACLFile = file(t, "acl", "user u\ntopic read t\n")
	reload(t, b, cfg)
	expect(t, c, subscribe, "\x90\x03\x00\x01\x00")
	expect(t, guest, "\xc0\x00", "\xd0\x00")

	cfg.Anonymous = &no
	reload(t, b, cfg)
	ended(t, guest)
	expect(t, c, "\xc0\x00", "\xd0\x00")
}

// The same where the listener had an access control file and a word on anonymous
// clients of its own: those hold as long as somebody came by it.
func TestOwnRulesBehindAListenerThatIsGone(t *testing.T) {
	yes, no := true, false
	own := file(t, "own", "topic read t\n")
	cfg := broker.Config{
		Engine: "epoll", Anonymous: &no,
		Listeners: []broker.Listener{{URL: "mqtt://127.0.0.1:0", ACLFile: own, Anonymous: &yes}},
	}
	b := start(t, cfg)
	guest := dial(t, b, 0)
	expect(t, guest, connect3, connack3)
	cfg.Listeners = []broker.Listener{{URL: "mqtt://localhost:0", ACLFile: own}}
	reload(t, b, cfg)
	expect(t, guest, "\x82\x06\x00\x01\x00\x01u\x00", "\x90\x03\x00\x01\x80")
	expect(t, guest, "\x82\x06\x00\x02\x00\x01t\x00", "\x90\x03\x00\x02\x00")
	cfg.Listeners[0].ACLFile = ""
	reload(t, b, cfg)
	expect(t, guest, "\x82\x06\x00\x01\x00\x01u\x00", "\x90\x03\x00\x01\x80")
}

// The memory of TLS counts as long as the connections last, also when their
// listener is gone.
func TestMemoryBehindAListenerThatIsGone(t *testing.T) {
	a := newAuthority(t)
	a.sign("server", pkix.Name{}, nil)
	cfg := broker.Config{Engine: "epoll", Listeners: []broker.Listener{{URL: "mqtts://127.0.0.1:0", TLS: a.server("server")}}}
	b := start(t, cfg)
	used := func() (bytes int64) {
		t.Helper()
		if err := b.Do(t.Context(), func(r *router.Router, _ *loop.Stats) { bytes = r.MemoryUsed() }); err != nil {
			t.Fatal(err)
		}
		return bytes
	}
	const clients = 8
	var all []net.Conn
	for i := range clients {
		c := tls.Client(dial(t, b, 0), a.client(""))
		expect(t, c, "\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x01"+string(rune('a'+i)), connack3)
		all = append(all, c)
	}
	before := used()
	cfg.Listeners = []broker.Listener{{URL: "mqtt://localhost:0"}}
	reload(t, b, cfg)
	expect(t, all[0], "\xc0\x00", "\xd0\x00")
	if now := used(); now < before-clients<<10 {
		t.Errorf("%d bytes before the reload, %d after", before, now)
	}
	for _, c := range all {
		c.Close()
	}
	for deadline := time.Now().Add(patience); used() > before-clients<<13; {
		if time.Now().After(deadline) {
			t.Fatalf("%d bytes with %d clients, %d without", before, clients, used())
		}
	}
}

// What is kept of a listener that is gone goes with the last who came by it, however
// often others come and go; he follows the rules until then.
func TestListenersThatAreGoneAreForgotten(t *testing.T) {
	yes := true
	cfg := broker.Config{Engine: "epoll", Anonymous: &yes, Listeners: []broker.Listener{{URL: "mqtt://127.0.0.1:0"}}}
	b := start(t, cfg)
	stays := dial(t, b, 0)
	expect(t, stays, login("stays", "", ""), connack3)
	for i := range 20 {
		cfg.Listeners = []broker.Listener{{URL: "mqtt://localhost:0"}}
		if i%2 == 1 {
			cfg.Listeners[0].URL = "mqtt://127.0.0.1:0"
		}
		reload(t, b, cfg)
		c := dial(t, b, 0)
		expect(t, c, connect3, connack3)
		c.Close()
	}
	const most = 3 // stays and goes by one, and the engine has the sockets of others until their places are needed
	for deadline := time.Now().Add(patience); ; {
		runtime.GC()
		reload(t, b, cfg)
		n := 0
		if err := b.Do(t.Context(), func(*router.Router, *loop.Stats) { n = b.Gone() }); err != nil {
			t.Fatal(err)
		}
		if n <= most {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d listeners that are gone are kept", n)
		}
	}
	cfg.ACLFile = file(t, "acl", "topic write t\n")
	reload(t, b, cfg)
	expect(t, stays, "\x82\x06\x00\x01\x00\x01t\x00", "\x90\x03\x00\x01\x80")
}

// So it is with the way to encrypt for those who come by a listener with TLS.
func TestTLSOfListenersThatAreGone(t *testing.T) {
	a := newAuthority(t)
	a.sign("server", pkix.Name{}, nil)
	cfg := broker.Config{Engine: "epoll"}
	var b *broker.Broker
	for i := range 10 {
		cfg.Listeners = []broker.Listener{{URL: "mqtts://127.0.0.1:0", TLS: a.server("server")}}
		if i%2 == 1 {
			cfg.Listeners[0].URL = "mqtts://localhost:0"
		}
		if b == nil {
			b = start(t, cfg)
		}
		reload(t, b, cfg)
		c := tls.Client(dial(t, b, 0), a.client(""))
		expect(t, c, connect3, connack3)
		if i < 9 {
			c.Close()
		} else {
			defer c.Close()
		}
	}
	for deadline := time.Now().Add(patience); ; {
		n := 0
		if err := b.Do(t.Context(), func(*router.Router, *loop.Stats) { n = b.Encrypting() }); err != nil {
			t.Fatal(err)
		}
		if n == 1 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("output of %d listeners is looked for in each pass, there is one", n)
		}
	}
}
