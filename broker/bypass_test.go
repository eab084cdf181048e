package broker_test

import (
	"io"
	"net"
	"strings"
	"testing"

	"github.com/loopmq/loopmq/auth/guard"
	"github.com/loopmq/loopmq/broker"
)

// bypassRules give eve her own branch and what a pattern gives; alice has all.
const bypassRules = `user alice
topic readwrite #
user eve
topic readwrite eve/#
pattern readwrite dev/%c/#
pattern readwrite home/%u/#
`

// frame gives a body its first byte and length.
func frame(first byte, body string) string {
	if n := len(body); n > 127 {
		return string([]byte{first, byte(n&127 | 128), byte(n >> 7)}) + body
	}
	return string([]byte{first, byte(len(body))}) + body
}

// hello is a CONNECT with user name and password; more goes between the client
// identifier and these, and flags with it.
func hello(level byte, id, user, more string, flags byte) string {
	body := "\x00\x04MQTT" + string([]byte{level, 0xc2 | flags}) + "\x00\x00"
	if level == 5 {
		body += "\x00"
	}
	return frame(0x10, body+text(id)+more+text(user)+text(user))
}

// enter connects; what CONNACK tells is not looked at.
func enter(t *testing.T, b *broker.Broker, level byte, packet string) net.Conn {
	t.Helper()
	c := dial(t, b, 0)
	expect(t, c, packet, "\x20")
	length := make([]byte, 1)
	if _, err := c.Read(length); err != nil {
		t.Fatal(err)
	}
	rest := make([]byte, length[0])
	for n := 0; n < len(rest); {
		m, err := c.Read(rest[n:])
		if err != nil {
			t.Fatal(err)
		}
		n += m
	}
	if rest[1] != 0 {
		t.Fatalf("level %d is refused: % x", level, rest)
	}
	return c
}

// publish0 is a PUBLISH with QoS 0.
func publish0(level byte, flags byte, topic, props, payload string) string {
	body := text(topic)
	if level == 5 {
		body += string([]byte{byte(len(props))}) + props
	}
	return frame(0x30|flags, body+payload)
}

// guarded is a broker with these rules.
func guarded(t *testing.T, engine string) *broker.Broker {
	t.Helper()
	return start(t, broker.Config{
		Engine: engine, PasswordFile: mosquittoPasswd(t, "alice", "alice", "eve", "eve"), ACLFile: file(t, "acl", bypassRules),
		Listeners: []broker.Listener{{URL: "mqtt://127.0.0.1:0"}},
	})
}

// TestPublishBypasses: nothing that eve publishes elsewhere arrives before what
// she may publish: by look-alikes, empty levels, $SYS, wills, retained messages
// and aliases.
func TestPublishBypasses(t *testing.T) {
	eachEngine(t, func(t *testing.T, engine string) {
		for _, level := range []byte{4, 5} {
			b := guarded(t, engine)
			watcher := enter(t, b, 4, hello(4, "w", "alice", "", 0))
			expect(t, watcher, "\x82\x0c\x00\x01\x00\x01#\x00\x00\x03+/#\x00", "\x90\x04\x00\x01\x00\x00")
			// What is there may not be cleared: its empty message would come, too.
			expect(t, watcher, publish0(4, 1, "kept", "", "k"), publish0(4, 0, "kept", "", "k"))
			will := enter(t, b, level, hello(level, "will", "eve", emptyProps(level)+text("secret")+text("bye"), 0x04))
			expect(t, will, "\xe0\x00\xe0", "") // broken: the will is sent
			_, _ = will.Read(make([]byte, 64))
			will.Close()
			var all strings.Builder
			for _, topic := range []string{
				"secret", "Eve/x", "EVE/x", "/eve/x", "//eve", "eve ", "eve /x", " eve/x", "ｅｖｅ/x", "e\u0301ve/x", "eve\u200b/x", "\ufeffeve/x",
				"../eve/x", "x/../eve/x", "$SYS/broker/version", "$SYS/eve/x", "$share/g/eve/x", "$eve/x", "dev/other/x", "dev//x", "dev/x", "home/alice/x",
				"home//x", "home/eve\u0000x", "dev/%c/x", "home/%u/x",
			} {
				if strings.ContainsRune(topic, 0) {
					continue // a malformed packet: TestTopicsThatAreNone
				}
				all.WriteString(publish0(level, 0, topic, "", "x"))
			}
			all.WriteString(publish0(level, 1, "kept", "", ""))
			if level == 5 { // an alias for what she may not, then the alias alone
				all.WriteString(publish0(5, 0, "secret", "\x23\x00\x01", "x"))
				all.WriteString(publish0(5, 0, "", "\x23\x00\x01", "x"))
			}
			eve := enter(t, b, level, hello(level, "c1", "eve", "", 0))
			all.WriteString(publish0(level, 0, "eve/end", "", "e"))
			expect(t, eve, all.String(), "")
			expect(t, watcher, "", publish0(4, 0, "eve/end", "", "e"))
			expect(t, watcher, "\x82\x09\x00\x02\x00\x04kept\x00", "\x90\x03\x00\x02\x00"+publish0(4, 1, "kept", "", "k"))
		}
	})
}

func emptyProps(level byte) string {
	if level == 5 {
		return "\x00"
	}
	return ""
}

// TestSubscribeBypasses: whatever filters eve asks for, by whatever client
// identifier, she gets what she may have and nothing else: live, retained, from a
// group, or from a queue.
func TestSubscribeBypasses(t *testing.T) {
	filters := []string{
		"#", "+/#", "+", "secret", "Secret", "/#", "//#", "+/+", "$share/g/#", "$share/g/secret", "$share/eve/+/#", "$SYS/#", "$SYS/broker/version",
		"home/#", "home/+/x", "dev/+/x", "dev/#", "eve/#", "secret/#",
	}
	eachEngine(t, func(t *testing.T, engine string) {
		for _, level := range []byte{4, 5} {
			for _, id := range []string{"c1", "+", "#", "other/x", "$SYS", "alice"} {
				b := guarded(t, engine)
				alice := enter(t, b, 4, hello(4, "a", "alice", "", 0))
				expect(t, alice, publish0(4, 1, "secret", "", "kept")+"\xc0\x00", "\xd0\x00")
				eve := enter(t, b, level, hello(level, id, "eve", "", 0))
				for i, f := range filters {
					body := "\x00" + string([]byte{byte(i + 1)}) + emptyProps(level) + text(f) + "\x00"
					if _, err := eve.Write([]byte(frame(0x82, body))); err != nil {
						t.Fatal(err)
					}
					suback(t, eve)
				}
				for _, topic := range []string{"secret", "Secret", "/secret", "//secret", "home/alice/x", "home//x", "dev/other/x", "dev//x", "secret/x"} {
					expect(t, alice, publish0(4, 0, topic, "", "x")+publish0(4, 1, topic, "", "x"), "")
				}
				expect(t, alice, publish0(4, 0, "eve/end", "", "e"), "")
				expect(t, eve, "", publish0(level, 0, "eve/end", "", "e"))
			}
		}
	})
}

// suback reads one, and fails at anything else.
func suback(t *testing.T, c net.Conn) {
	t.Helper()
	head := make([]byte, 2)
	expect(t, c, "", "\x90")
	if _, err := c.Read(head[:1]); err != nil {
		t.Fatal(err)
	}
	rest := make([]byte, head[0])
	for n := 0; n < len(rest); {
		m, err := c.Read(rest[n:])
		if err != nil {
			t.Fatal(err)
		}
		n += m
	}
}

// TestTopicsThatAreNone: bytes that some decoders take for others end the
// connection, and no message comes of them.
func TestTopicsThatAreNone(t *testing.T) {
	eachEngine(t, func(t *testing.T, engine string) {
		b := guarded(t, engine)
		for _, topic := range []string{
			"eve/\x00", "eve/+", "eve/#", "#", "e\xc1\xb6e/x" /* overlong */, "eve/\xed\xa0\x80" /* half of a pair */, "eve\xff", "\xc0\xaf", "",
		} {
			eve := enter(t, b, 4, hello(4, "c1", "eve", "", 0))
			if _, err := eve.Write([]byte(publish0(4, 0, topic, "", "x"))); err != nil {
				t.Fatal(err)
			}
			ended(t, eve)
		}
	})
}

// named is an Exchange that believes what it is told.
type named struct{ user string }

func (n *named) Step(data []byte) (answer []byte, done bool, err error) {
	n.user = string(data)
	return nil, true, nil
}

func (n *named) Identity() string { return n.user }

// TestExchangeIsNoWayAround: who shows himself by an enhanced authentication is
// held by bans, quotas and rules like everybody.
func TestExchangeIsNoWayAround(t *testing.T) {
	b := start(t, broker.Config{
		Listeners:   []broker.Listener{{URL: "mqtt://127.0.0.1:0"}},
		ACLFile:     file(t, "acl", "user bob\ntopic read a\n"),
		AuthMethods: map[string]func() broker.Exchange{"N": func() broker.Exchange { return new(named) }},
		Bans:        []guard.Ban{{Kind: guard.User, Name: "mallory"}, {Kind: guard.ClientID, Name: "bad"}},
		Quotas:      []broker.QuotaRule{{Users: []string{"bob"}, Quota: broker.Quota{Connections: 1}}},
	})
	as := func(id, user string) string {
		props := "\x15" + text("N") + "\x16" + text(user)
		return frame(0x10, "\x00\x04MQTT\x05\x02\x00\x00"+string([]byte{byte(len(props))})+props+text(id))
	}
	for _, c := range []struct {
		id, user string
		reason   byte
	}{{"x", "mallory", 0x8a}, {"bad", "bob", 0x8a}, {"b", "bob", 0}, {"c", "bob", 0x97}} {
		conn := dial(t, b, 0)
		if _, err := conn.Write([]byte(as(c.id, c.user))); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, 4)
		if _, err := io.ReadFull(conn, got); err != nil || got[0] != 0x20 || got[3] != c.reason {
			t.Errorf("%s as %s: % x, %v; want reason %#x", c.user, c.id, got, err, c.reason)
		}
	}
}
