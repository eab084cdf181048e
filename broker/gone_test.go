package broker_test

import (
	"testing"

	"github.com/loopmq/loopmq/broker"
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
