package broker_test

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/loopmq/loopmq/broker"
	"github.com/loopmq/loopmq/internal/testkit"
	"github.com/loopmq/loopmq/loop"
	"github.com/loopmq/loopmq/router"
)

// authority signs certificates.
type authority struct {
	t   *testing.T
	dir string
	ca  *testkit.Cert
}

func newAuthority(t *testing.T) *authority {
	a := &authority{t: t, dir: t.TempDir(), ca: testkit.Authority("test authority")}
	a.ca.Save(a.dir, "ca")
	return a
}

// path is where a file of the authority is.
func (a *authority) path(name string) string { return filepath.Join(a.dir, name) }

// sign writes NAME.pem and NAME.key.
func (a *authority) sign(name string, subject pkix.Name, hosts []string) {
	a.t.Helper()
	like := testkit.Host("", hosts...)
	like.Subject, like.NotAfter = subject, time.Now().Add(90*24*time.Hour)
	signed := testkit.Sign(like, a.ca)
	signed.Save(a.dir, name)
	key, err := x509.MarshalECPrivateKey(signed.Secret) // as OpenSSL writes it
	if err != nil {
		a.t.Fatal(err)
	}
	testkit.WritePEM(a.path(name+".key"), "EC PRIVATE KEY", key)
}

// client is a configuration that trusts the authority; name, if any, is the
// client's certificate.
func (a *authority) client(name string) *tls.Config {
	a.t.Helper()
	cfg := &tls.Config{RootCAs: a.ca.Pool(), ServerName: "127.0.0.1"}
	if name != "" {
		pair, err := tls.LoadX509KeyPair(a.path(name+".pem"), a.path(name+".key"))
		if err != nil {
			a.t.Fatal(err)
		}
		cfg.Certificates = []tls.Certificate{pair}
	}
	return cfg
}

// server are the settings of a listener with the authority's certificate NAME.
func (a *authority) server(name string) *broker.TLS {
	return &broker.TLS{Certificates: []string{a.path(name + ".pem")}, Keys: []string{a.path(name + ".key")}}
}

func TestTLSDoor(t *testing.T) {
	a := newAuthority(t)
	a.sign("server", pkix.Name{CommonName: "server"}, []string{"broker.example.org"})
	eachEngine(t, func(t *testing.T, engine string) {
		b := start(t, broker.Config{Engine: engine, Listeners: []broker.Listener{
			{URL: "mqtts://127.0.0.1:0", TLS: a.server("server")},
			{URL: "wss://127.0.0.1:0/mqtt", TLS: a.server("server")},
			{URL: "mqtt://127.0.0.1:0"},
		}})
		if got := b.URLs(); !strings.HasPrefix(got[0], "mqtts://127.0.0.1:") || !strings.HasPrefix(got[1], "wss://127.0.0.1:") {
			t.Errorf("URLs %q", got)
		}
		c := tls.Client(dial(t, b, 0), a.client(""))
		expect(t, c, connect3+"\x82\x06\x00\x01\x00\x01t\x00", connack3+"\x90\x03\x00\x01\x00")
		web := tls.Client(dial(t, b, 1), a.client(""))
		if _, err := io.WriteString(web, upgrade("/mqtt", "")); err != nil {
			t.Fatal(err)
		}
		upgraded(t, web)
		expect(t, web, masked("\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x01w"), "\x82\x04"+connack3)
		expect(t, web, masked("\x82\x06\x00\x01\x00\x01t\x00"), "\x82\x05\x90\x03\x00\x01\x00")
		plain := dial(t, b, 2)
		expect(t, plain, "\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x01p", connack3)
		large := strings.Repeat("x", 100_000)
		length := len(large) + 3
		head := "\x30" + string([]byte{byte(length&127 | 128), byte(length>>7&127 | 128), byte(length >> 14)}) + "\x00\x01t"
		expect(t, plain, "\x30\x04\x00\x01ty"+head+large, "")
		expect(t, c, "", "\x30\x04\x00\x01ty"+head+large)
		expect(t, web, "", "\x82\x06\x30\x04\x00\x01ty\x82\x7f\x00\x00\x00\x00\x00\x01\x86\xa7"+head+large)
		expect(t, c, "\x30\x04\x00\x01tz", "\x30\x04\x00\x01tz")
	})
}

func TestPlainMQTTOnATLSListener(t *testing.T) {
	a := newAuthority(t)
	a.sign("server", pkix.Name{}, nil)
	rec, log := newRecords()
	b := start(t, broker.Config{Log: log, Listeners: []broker.Listener{{URL: "mqtts://127.0.0.1:0", TLS: a.server("server")}}})
	c := dial(t, b, 0)
	expect(t, c, connect3, "")
	ended(t, c)
	rec.wait(t, `msg="connection refused"`, "listener=mqtts", "plain MQTT")
}

// Of a crowd at a door with TLS most wait in the kernel: nobody is turned away, and no deadline runs for them. Who only
// connects keeps nobody out.
func TestCrowdAtATLSDoor(t *testing.T) {
	const most = 256 + 1024 + 256 // under way, waiting, and let in before they have said anything
	a := newAuthority(t)
	a.sign("server", pkix.Name{}, nil)
	for _, sent := range []string{"\x16\x03\x01\x00\x04\x01\x00\x00\x05", ""} { // the beginning of a ClientHello, or nothing
		b := start(t, broker.Config{
			Engine: "epoll", Limits: router.Limits{ConnectTimeout: time.Hour},
			Listeners: []broker.Listener{{URL: "mqtts://127.0.0.1:0", TLS: a.server("server")}},
		})
		accepted := func() (n int, paced bool) {
			if err := b.Do(t.Context(), func(_ *router.Router, st *loop.Stats) { n, paced = int(st.Accepted), st.AcceptsPaced > 0 }); err != nil {
				t.Fatal(err)
			}
			return n, paced
		}
		crowd := make([]net.Conn, most+200)
		for i := range crowd {
			crowd[i] = dial(t, b, 0)
			if _, err := io.WriteString(crowd[i], sent); err != nil {
				t.Fatal(err)
			}
		}
		if sent != "" {
			testkit.Until(t, "all are let in, or have to wait", func() bool {
				n, paced := accepted()
				return n > most || paced
			})
			if n, _ := accepted(); n < 1024 || n > most {
				t.Errorf("%d let in of %d", n, len(crowd))
			}
			for _, c := range crowd {
				c.Close()
			}
		}
		expect(t, tls.Client(dial(t, b, 0), a.client("")), connect3, connack3)
		if n, _ := accepted(); n != len(crowd)+1 {
			t.Errorf("%d let in of %d in the end", n, len(crowd)+1)
		}
	}
}

// What TLS takes for each connection counts as memory.
func TestMemoryOfTLS(t *testing.T) {
	a := newAuthority(t)
	a.sign("server", pkix.Name{}, nil)
	b := start(t, broker.Config{Listeners: []broker.Listener{{URL: "mqtts://127.0.0.1:0", TLS: a.server("server")}}})
	for i := range 3 {
		c := tls.Client(dial(t, b, 0), a.client(""))
		expect(t, c, "\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x01"+string(rune('a'+i)), connack3)
	}
	var used int64
	if err := b.Do(t.Context(), func(r *router.Router, _ *loop.Stats) { used = r.MemoryUsed() }); err != nil {
		t.Fatal(err)
	}
	if used < 3*16<<10 {
		t.Errorf("%d bytes are counted for three connections", used)
	}
}

func TestUserFromCertificate(t *testing.T) {
	a := newAuthority(t)
	a.sign("server", pkix.Name{}, nil)
	a.sign("device", pkix.Name{CommonName: "device7", OrganizationalUnit: []string{"hall 2"}}, nil)
	a.sign("nameless", pkix.Name{}, nil)
	rec, log := newRecords()
	listener := func(from, policy string) broker.Listener {
		s := a.server("server")
		s.ClientCAs, s.ClientCertificates, s.UserFrom = []string{a.path("ca.pem")}, policy, from
		return broker.Listener{URL: "mqtts://127.0.0.1:0", TLS: s}
	}
	no := false
	b := start(t, broker.Config{
		Log: log, Anonymous: &no, ACLFile: file(t, "acl", "user device7\ntopic write out\n"),
		Listeners: []broker.Listener{listener("cn", "required"), listener("subject", "required"), listener("cn", "optional")},
	})
	c := tls.Client(dial(t, b, 0), a.client("device"))
	expect(t, c, login("d", "root", "x"), connack3) // what CONNECT says counts no more
	rec.wait(t, "msg=connected", "client=d", "user=device7")
	expect(t, c, "\x82\x07\x00\x01\x00\x02in\x00", "\x90\x03\x00\x01\x80")
	expect(t, tls.Client(dial(t, b, 1), a.client("device")), login("e", "x", "x"), connack3)
	rec.wait(t, "msg=connected", "client=e", `user="CN=device7,OU=hall 2"`)
	bare := tls.Client(dial(t, b, 0), a.client(""))
	if _, err := io.WriteString(bare, connect3); err == nil {
		if _, err = bare.Read(make([]byte, 1)); err == nil {
			t.Error("a client without a certificate was served")
		}
	}
	if _, err := tls.Client(dial(t, b, 0), a.client("nameless")).Read(make([]byte, 1)); err == nil {
		t.Error("a certificate without a name was taken")
	}
	expect(t, tls.Client(dial(t, b, 2), a.client("")), connect3, "\x20\x02\x00\x05")
	expect(t, tls.Client(dial(t, b, 2), a.client("device")), "\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x01f", connack3)
}

// A reload exchanges certificates; who is connected stays.
func TestReloadOfCertificates(t *testing.T) {
	a := newAuthority(t)
	a.sign("one", pkix.Name{CommonName: "one"}, nil)
	a.sign("two", pkix.Name{CommonName: "two"}, nil)
	cfg := broker.Config{Engine: "epoll", Listeners: []broker.Listener{{URL: "mqtts://127.0.0.1:0", TLS: a.server("one")}}}
	b := start(t, cfg)
	old := tls.Client(dial(t, b, 0), a.client(""))
	expect(t, old, connect3, connack3)
	for range 2 {
		for _, name := range []string{"two", "one"} {
			cfg.Listeners = []broker.Listener{{URL: "mqtts://127.0.0.1:0", TLS: a.server(name)}}
			reload(t, b, cfg)
			c := tls.Client(dial(t, b, 0), a.client(""))
			expect(t, c, "\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x01n", connack3)
			if got := c.ConnectionState().PeerCertificates[0].Subject.CommonName; got != name {
				t.Errorf("certificate %q, want %q", got, name)
			}
			if list := b.Certificates(); len(list) != 1 || list[0].File != a.path(name+".pem") || time.Until(list[0].NotAfter) < 89*24*time.Hour {
				t.Errorf("certificates %+v", list)
			}
		}
	}
	expect(t, old, "\xc0\x00", "\xd0\x00")
	bad := cfg
	bad.Listeners = []broker.Listener{{URL: "mqtts://127.0.0.1:0", TLS: &broker.TLS{Certificates: []string{a.path("one.pem")}, Keys: []string{a.path("two.key")}}}}
	if err := b.Reload(bad); err == nil || !strings.Contains(err.Error(), "one.pem") {
		t.Errorf("a key that does not belong to its certificate: %v", err)
	}
	expect(t, old, "\xc0\x00", "\xd0\x00")
}

func TestBadTLSSettings(t *testing.T) {
	for _, c := range []struct{ url, want string }{
		{"mqtts://:1", "a certificate is missing; add cert=FILE and key=FILE"},
		{"mqtt://:1?cert=a", "cert, key and the like is for listeners with TLS"},
		{"mqtts://:1?cert=a&key=b,c", "2 keys for 1 certificates"},
		{"mqtts://:1?cert=a&client-certs=maybe", `client-certs "maybe": use none, optional or required`},
		{"mqtts://:1?cert=a&client-certs=required", "client-certs required without ca"},
		{"mqtts://:1?cert=a&min-version=1.1", `min-version "1.1": use 1.2 or 1.3`},
		{"mqtts://:1?cert=a&user-from=cn", "user-from cn without client certificates"},
		{"mqtts://:1?cert=a&ca=a&client-certs=required&user-from=x", `user-from "x": use cn or subject`},
		{"mqtts://:1?cert=/nowhere.pem", "/nowhere.pem"},
	} {
		l, err := broker.ParseListener(c.url)
		if err == nil {
			_, err = broker.New(broker.Config{Listeners: []broker.Listener{l}})
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %s", c.url, err, c.want)
		}
	}
}

// Debian's clients over TLS, with and without a certificate of their own.
func TestMosquittoClientsOverTLS(t *testing.T) {
	a := newAuthority(t)
	a.sign("server", pkix.Name{}, []string{"localhost"})
	a.sign("device", pkix.Name{CommonName: "device7"}, nil)
	required := a.server("server")
	required.ClientCAs, required.ClientCertificates, required.UserFrom = []string{a.path("ca.pem")}, "required", "cn"
	b := start(t, broker.Config{Listeners: []broker.Listener{{URL: "mqtts://127.0.0.1:0", TLS: a.server("server")}, {URL: "mqtts://127.0.0.1:0", TLS: required}}})
	for i, more := range [][]string{nil, {"--cert", a.path("device.pem"), "--key", a.path("device.key")}} {
		_, port, _ := net.SplitHostPort(b.Addrs()[i].String())
		args := append([]string{"-h", "127.0.0.1", "-p", port, "--cafile", a.path("ca.pem"), "-t", "t", "-q", "1"}, more...)
		if out, err := exec.Command("mosquitto_pub", append(args, "-r", "-m", "over TLS")...).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		out, err := exec.Command("mosquitto_sub", append(args, "-C", "1", "-W", "10")...).Output()
		if err != nil || string(out) != "over TLS\n" {
			t.Errorf("%q, %v", out, err)
		}
	}
	_, port, _ := net.SplitHostPort(b.Addrs()[1].String())
	if err := exec.Command("mosquitto_pub", "-h", "127.0.0.1", "-p", port, "--cafile", a.path("ca.pem"), "-t", "t", "-m", "x").Run(); err == nil {
		t.Error("a client without a certificate was served")
	}
}
