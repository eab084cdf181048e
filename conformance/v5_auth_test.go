package conformance

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/base64"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/loopmq/loopmq/broker"
	"github.com/loopmq/loopmq/internal/testkit"
)

// scramFirst is what a client of SCRAM-SHA-256 says first (RFC 5802).
const scramFirst = "n,,n=user,r=rOprNGfwEbeRWgbNEkqO"

// scramProof answers the server's challenge, by the arithmetic of RFC 5802,
// section 3, and says what the server will answer to that.
func scramProof(t *testing.T, challenge, password string) (final, verifier string) {
	t.Helper()
	f := map[byte]string{}
	for part := range strings.SplitSeq(challenge, ",") {
		f[part[0]] = part[2:]
	}
	salt, err := base64.StdEncoding.DecodeString(f['s'])
	if err != nil || !strings.HasPrefix(f['r'], "rOprNGfwEbeRWgbNEkqO") {
		t.Fatalf("challenge %q: %v", challenge, err)
	}
	rounds, err := strconv.Atoi(f['i'])
	if err != nil {
		t.Fatal(err)
	}
	salted, err := pbkdf2.Key(sha256.New, password, salt, rounds, 32)
	if err != nil {
		t.Fatal(err)
	}
	sign := func(key []byte, text string) []byte {
		h := hmac.New(sha256.New, key)
		h.Write([]byte(text))
		return h.Sum(nil)
	}
	final = "c=biws,r=" + f['r']
	said := strings.TrimPrefix(scramFirst, "n,,") + "," + challenge + "," + final
	proof := sign(salted, "Client Key")
	stored := sha256.Sum256(proof)
	for i, b := range sign(stored[:], said) {
		proof[i] ^= b
	}
	return final + ",p=" + base64.StdEncoding.EncodeToString(proof),
		"v=" + base64.StdEncoding.EncodeToString(sign(sign(salted, "Server Key"), said))
}

// auth5 is an AUTH packet of SCRAM-SHA-256, and scram5 its properties.
func auth5(reason, data string) string { return "f0{" + reason + " {" + scram5(data) + "}}" }
func scram5(data string) string        { return "15 <'SCRAM-SHA-256'> 16 <'" + data + "'>" }

// challenged reads the AUTH that asks for the proof.
func (c *conn) challenged() string {
	c.t.Helper()

	p := c.packet()
	at := strings.Index(string(p), "r=")
	if at < 0 || p[0] != 0xf0 || p[2] != 0x18 || string(notation(auth5("18", string(p[at:])))) != string(p) {
		c.t.Fatalf("want AUTH with a challenge, got %s", describe(p))
	}
	return string(p[at:])
}

func TestScram(t *testing.T) {
	each(t, options{scram: true}, func(t *testing.T, tg target) {
		c := dial(t, tg).send(connect5("a", quiet+scram5(scramFirst)))
		challenge := c.challenged()
		final, verifier := scramProof(t, challenge, "pencil")
		c.accepted5(auth5("18", final), "a", 0)
		if m, d := string(c.property(0x15, 0)), string(c.property(0x16, 0)); m != "SCRAM-SHA-256" || d != verifier {
			t.Errorf("CONNACK: method %q, data %q, want %q", m, d, verifier)
		}
		// Again, on the connection that is up, while everything else goes on.
		c.sub5("t", "00").send(auth5("19", scramFirst))
		final, verifier = scramProof(t, c.challenged(), "pencil")
		c.send("30{<'t'> {} 'x'}").expect("30{<'t'> {} 'x'}").send(auth5("18", final)).expect(auth5("00", verifier))
		// By another method, out of turn, or with the wrong proof: the end.
		c.send("f0{19 {15 <'X'>}}").expect("e0{82}").expectClosed()
	})
}

func TestScramFails(t *testing.T) {
	each(t, options{scram: true}, func(t *testing.T, tg target) {
		begin := func() *conn { return dial(t, tg).send(connect5("a", quiet+scram5(scramFirst))) }
		c := begin()
		final, _ := scramProof(t, c.challenged(), "pen")
		c.send(auth5("18", final)).expect("20{00 87 {}}").expectClosed()
		// A user that is not there is asked the same.
		c = dial(t, tg).send(connect5("a", quiet+scram5("n,,n=nobody,r=rOprNGfwEbeRWgbNEkqO")))
		final, _ = scramProof(t, c.challenged(), "pencil")
		c.send(auth5("18", final)).expect("20{00 87 {}}").expectClosed()
		// Only AUTH goes on, of the same method, with the reason that says so.
		for _, packet := range []string{"30{<'t'> {} 'x'}", pingreq, "f0{18 {15 <'X'> 16 <>}}", auth5("19", "x"), auth5("18", "nonsense")} {
			c = begin()
			c.challenged()
			c.send(packet)
			if p, err := c.next(); err == nil && (p[0] != 0x20 || p[3] < 0x80) {
				t.Errorf("%s: got %s", packet, describe(p))
			}
			c.expectClosed()
		}
		dial(t, tg).send(connect5("a", quiet+"15 <'PLAIN'> 16 <'x'>")).expect("20{00 8c {}}").expectClosed()
		// One who did not begin so hears nothing of it, and may not start.
		c = join5(t, tg, "b", quiet)
		if c.property(0x15, 0) != nil {
			t.Error("Authentication Method in a CONNACK that nobody asked for it")
		}
		c.send(auth5("19", scramFirst)).expect("e0{82}").expectClosed()
		// Failing later ends the connection as well.
		c = begin()
		final, _ = scramProof(t, c.challenged(), "pencil")
		c.accepted5(auth5("18", final), "a", 0).send(auth5("19", scramFirst))
		final, _ = scramProof(t, c.challenged(), "pen")
		c.send(auth5("18", final)).expect("e0{87}").expectClosed()
	})
}

// A server that stops says so, and where to go.
func TestStopping5(t *testing.T) {
	const other = "another-server-with-a-long-name.example:1883"
	for reference, want := range map[string]string{"": "e0{8b}", other: "e0{9c {1c <'" + other + "'>}}"} {
		for _, engine := range broker.Engines() {
			b, err := broker.New(broker.Config{Listeners: []broker.Listener{{URL: "mqtt://127.0.0.1:0"}}, Engine: engine, ServerReference: reference, ShutdownTimeout: time.Second})
			if err != nil {
				t.Fatal(err)
			}
			stop := testkit.Start(t, b)
			tg := &loopmq{b: b, address: b.Addrs()[0].String()}
			c := join5(t, tg, "c", quiet)
			small := join5(t, tg, "small", quiet+" 27 00000020") // no room for the reference
			old := join(t, tg, "old", clean)
			b.Shutdown()
			c.expect(want).expectClosed()
			small.expect(want[:5] + "}").expectClosed()
			old.expectClosed()
			if err := stop(); err != nil {
				t.Error(err)
			}
		}
	}
}
