package broker_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/loopmq/loopmq/auth"
	"github.com/loopmq/loopmq/auth/guard"
	"github.com/loopmq/loopmq/broker"
)

// file writes a file that only its owner may read.
func file(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// mosquittoPasswd makes a password file as Debian's tool does.
func mosquittoPasswd(t *testing.T, users ...string) string {
	t.Helper()
	path := file(t, "passwd", "")
	for i := 0; i < len(users); i += 2 {
		if out, err := exec.Command("mosquitto_passwd", "-b", path, users[i], users[i+1]).CombinedOutput(); err != nil {
			t.Fatalf("mosquitto_passwd: %v\n%s", err, out)
		}
	}
	return path
}

// login is a CONNECT of 3.1.1 with a user name and, unless it is "-", a password.
func login(id, user, password string) string {
	flags, tail := byte(0x82), text(user)
	if password != "-" {
		flags, tail = 0xc2, tail+text(password)
	}
	body := "\x00\x04MQTT\x04" + string([]byte{flags}) + "\x00\x00" + text(id) + tail
	return "\x10" + string([]byte{byte(len(body))}) + body
}

func text(s string) string { return string([]byte{byte(len(s) >> 8), byte(len(s))}) + s }

// refused says hello and expects this return code, and the end.
func refused(t *testing.T, b *broker.Broker, hello string, code byte) {
	t.Helper()
	c := dial(t, b, 0)
	expect(t, c, hello, "\x20\x02\x00"+string([]byte{code}))
	ended(t, c)
}

func TestPasswordFile(t *testing.T) {
	eachEngine(t, func(t *testing.T, engine string) {
		rec, log := newRecords()
		b := start(t, broker.Config{Engine: engine, Log: log, PasswordFile: mosquittoPasswd(t, "alice", "secret", "bob", "other")})
		c := dial(t, b, 0)
		expect(t, c, login("a", "alice", "secret")+"\xc0\x00", connack3+"\xd0\x00") // what comes behind waits for the verdict
		rec.wait(t, "msg=connected", "client=a", "user=alice")
		expect(t, dial(t, b, 0), login("a2", "alice", "secret"), connack3)
		refused(t, b, login("x", "alice", "wrong"), 4)
		rec.wait(t, `msg="login failed"`, "client=x", "user=alice", "addr=127.0.0.1:", `reason="wrong user name or password"`)
		refused(t, b, login("x", "alice", "other"), 4)
		refused(t, b, login("x", "alice", "secret\x00"), 4)
		refused(t, b, login("x", "alice", ""), 4)
		refused(t, b, login("x", "alice", "-"), 4)
		refused(t, b, login("x", "Alice", "secret"), 4)
		refused(t, b, login("x", "nobody", "secret"), 4)
		refused(t, b, connect3, 5)
		rec.wait(t, "no user name, and anonymous clients are not let in")
	})
}

func TestAnonymous(t *testing.T) {
	yes, no := true, false
	loopback := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	behindProxy := func(anonymous *bool) []broker.Listener {
		return []broker.Listener{{URL: "mqtt://127.0.0.1:0", Proxy: true, Trusted: loopback, Anonymous: anonymous}}
	}
	remote, local := "PROXY TCP4 192.0.2.1 127.0.0.1 1023 1883\r\n", "PROXY TCP4 127.0.0.9 127.0.0.1 1023 1883\r\n"
	passwords := mosquittoPasswd(t, "alice", "secret")
	for _, c := range []struct {
		name          string
		cfg           broker.Config
		local, remote byte
	}{
		{"nothing set up", broker.Config{Listeners: behindProxy(nil)}, 0, 5},
		{"let in", broker.Config{Listeners: behindProxy(nil), Anonymous: &yes}, 0, 0},
		{"kept out", broker.Config{Listeners: behindProxy(nil), Anonymous: &no}, 5, 5},
		{"users", broker.Config{Listeners: behindProxy(nil), PasswordFile: passwords}, 5, 5},
		{"users, and let in", broker.Config{Listeners: behindProxy(nil), PasswordFile: passwords, Anonymous: &yes}, 0, 0},
		{"users, but this listener is open", broker.Config{Listeners: behindProxy(&yes), PasswordFile: passwords}, 0, 0},
		{"open, but this listener is not", broker.Config{Listeners: behindProxy(&no), Anonymous: &yes}, 5, 5},
	} {
		t.Run(c.name, func(t *testing.T) {
			rec, log := newRecords()
			c.cfg.Log = log
			b := start(t, c.cfg)
			expect(t, dial(t, b, 0), local+connect3, "\x20\x02\x00"+string([]byte{c.local}))
			expect(t, dial(t, b, 0), remote+connect3, "\x20\x02\x00"+string([]byte{c.remote}))
			if c.name == "nothing set up" {
				rec.wait(t, "addr=192.0.2.1:1023", "loopmq passwd FILE USER makes one, --password-file FILE uses it")
			}
		})
	}
}

func TestRulesAtTheWire(t *testing.T) {
	rec, log := newRecords()
	rules := file(t, "acl", "user alice\ntopic write out\ntopic read in\n")
	b := start(t, broker.Config{Log: log, PasswordFile: mosquittoPasswd(t, "alice", "a", "bob", "b"), ACLFile: rules})
	alice := dial(t, b, 0)
	expect(t, alice, login("a", "alice", "a"), connack3)
	expect(t, alice, "\x82\x08\x00\x01\x00\x03out\x00", "\x90\x03\x00\x01\x80")
	rec.wait(t, `msg="not allowed"`, "client=a", "user=alice", "action=subscribe", "topic=out", `rule="no rule allows it"`)
	expect(t, alice, "\x82\x07\x00\x02\x00\x02in\x00", "\x90\x03\x00\x02\x00")
	expect(t, alice, "\x32\x07\x00\x02in\x00\x03x", "\x40\x02\x00\x03") // taken, and goes nowhere
	rec.wait(t, `msg="not allowed"`, "action=publish", "topic=in")
	expect(t, alice, "\xc0\x00", "\xd0\x00")
	bob := dial(t, b, 0)
	expect(t, bob, login("b", "bob", "b"), connack3)
	expect(t, bob, "\x82\x06\x00\x01\x00\x01#\x00", "\x90\x03\x00\x01\x80")
}

// backend is one of an embedder.
type backend struct {
	calls atomic.Int32
	check func(ctx context.Context, r *auth.Request) (auth.Answer, error)
}

func (*backend) Name() string { return "test" }

func (b *backend) Check(ctx context.Context, r *auth.Request) (auth.Answer, error) {
	b.calls.Add(1)
	return b.check(ctx, r)
}

func TestBackends(t *testing.T) {
	rec, log := newRecords()
	first := &backend{check: func(_ context.Context, r *auth.Request) (auth.Answer, error) {
		switch r.Username {
		case "first":
			return auth.Answer{Decision: auth.Allow, User: "renamed", Lifetime: 50 * time.Millisecond}, nil
		case "denied":
			return auth.Answer{Decision: auth.Deny, Why: "out of office"}, nil
		case "broken":
			return auth.Answer{}, errors.New("no answer")
		}
		return auth.Answer{}, nil
	}}
	second := &backend{check: func(_ context.Context, r *auth.Request) (auth.Answer, error) {
		if r.Username == "second" && string(r.Password) == "p" && r.ClientID == "c" && r.Addr.IsLoopback() && r.Listener == "mqtt" {
			return auth.Answer{Decision: auth.Allow}, nil
		}
		return auth.Answer{}, nil
	}}
	b := start(t, broker.Config{Log: log, PasswordFile: mosquittoPasswd(t, "filed", "f"), Backends: []auth.Backend{first, second}})
	expect(t, dial(t, b, 0), login("f", "filed", "f"), connack3)
	refused(t, b, login("f", "filed", "x"), 4)
	if first.calls.Load() != 0 {
		t.Error("a backend was asked for a user of the password file")
	}
	c := dial(t, b, 0)
	expect(t, c, login("c", "first", "p"), connack3)
	rec.wait(t, "msg=connected", "user=renamed")
	ended(t, c) // its lifetime is over
	rec.wait(t, "msg=disconnected", "client=c", "has expired")
	expect(t, dial(t, b, 0), login("c", "second", "p"), connack3)
	refused(t, b, login("c", "denied", "p"), 4)
	rec.wait(t, "client=c", "user=denied", `reason="out of office"`)
	refused(t, b, login("c", "broken", "p"), 3)
	rec.wait(t, "user=broken", `reason="test: no answer"`)
	refused(t, b, login("c", "nobody", "p"), 4)
}

// The loop serves others while a login is being checked, however long it takes.
func TestLoginsDoNotHoldTheLoop(t *testing.T) {
	eachEngine(t, func(t *testing.T, engine string) {
		entered, leave := make(chan struct{}, 16), make(chan struct{})
		slow := &backend{check: func(ctx context.Context, _ *auth.Request) (auth.Answer, error) {
			entered <- struct{}{}
			select {
			case <-leave:
			case <-ctx.Done():
			}
			return auth.Answer{Decision: auth.Allow}, nil
		}}
		yes := true
		b := start(t, broker.Config{Engine: engine, Backends: []auth.Backend{slow}, Anonymous: &yes})
		waiting := dial(t, b, 0)
		if _, err := io.WriteString(waiting, login("w", "u", "p")); err != nil {
			t.Fatal(err)
		}
		<-entered
		for i := range 3 {
			expect(t, dial(t, b, 0), "\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x01"+fmt.Sprint(i), connack3)
		}
		gone := dial(t, b, 0)
		if _, err := io.WriteString(gone, login("g", "u", "p")); err != nil {
			t.Fatal(err)
		}
		gone.Close() // before its verdict
		close(leave)
		expect(t, waiting, "", connack3)
	})
}

func TestBadUserFilesStopTheStart(t *testing.T) {
	for _, c := range []struct {
		cfg  broker.Config
		want string
	}{
		{broker.Config{PasswordFile: "/nowhere/passwd"}, "password file: open /nowhere/passwd: no such file or directory"},
		{broker.Config{PasswordFile: file(t, "passwd", "alice\n")}, "/passwd:1"},
		{broker.Config{ACLFile: "/nowhere/acl"}, "access control file: open /nowhere/acl: no such file or directory"},
		{broker.Config{ACLFile: file(t, "acl", "user a\ntopik x\n")}, "/acl:2"},
	} {
		if _, err := broker.New(c.cfg); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want %s", err, c.want)
		}
	}
}

// TestWarningsOfFiles: what is doubtful in an access control file is told at the
// start and at a reload, and in the end each line once.
func TestWarningsOfFiles(t *testing.T) {
	rec, log := newRecords()
	cfg := broker.Config{Log: log, ACLFile: file(t, "acl", "topic read\nrole ops = a\nrole idle = b\n")}
	cfg.Quotas = []broker.QuotaRule{{Roles: []string{"ops"}, Quota: broker.Quota{Connections: 1}}}
	b := start(t, cfg)
	if got := b.Warnings(); len(got) != 2 {
		t.Errorf("warnings %q", got)
	}
	rec.wait(t, "level=WARN", "acl:1:", "opens the topic")
	rec.wait(t, "level=WARN", "acl:3:", "no section speaks of role")
	cfg.ACLFile = file(t, "acl", "role ops = a\ntopic write\n")
	reload(t, b, cfg)
	rec.wait(t, "level=WARN", "acl:2:", "opens the topic")
	cfg.Quotas[0].Roles[0] = "opps"
	if err := b.Reload(cfg); err == nil || !strings.Contains(err.Error(), `no access control file has a role "opps"`) {
		t.Errorf("a role that is not there: %v", err)
	}
}

func TestPasswordFileThatOthersMayRead(t *testing.T) {
	path := mosquittoPasswd(t, "a", "b")
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	rec, log := newRecords()
	start(t, broker.Config{Log: log, PasswordFile: path})
	rec.wait(t, "level=WARN", "password file "+path)
}

func TestGuessersHaveToWait(t *testing.T) {
	rec, log := newRecords()
	b := start(t, broker.Config{Log: log, PasswordFile: mosquittoPasswd(t, "alice", "secret"), Guard: guard.Config{AddressBurst: 3, UserBurst: -1}})
	for range 4 {
		refused(t, b, login("x", "alice", "guess"), 4)
	}
	refused(t, b, login("x", "alice", "secret"), 4) // not even looked at
	rec.wait(t, `msg="login failed"`, "user=alice", "too many failed logins of this address; not looked at for ")
}

func TestBans(t *testing.T) {
	yes := true
	loopback := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	rec, log := newRecords()
	b := start(t, broker.Config{
		Log: log, Anonymous: &yes, PasswordFile: mosquittoPasswd(t, "alice", "a", "mallory", "m"),
		Listeners: []broker.Listener{{URL: "mqtt://127.0.0.1:0", Proxy: true, Trusted: loopback}, {URL: "mqtt://127.0.0.1:0"}},
		Bans: []guard.Ban{
			{Kind: guard.Network, Network: netip.MustParsePrefix("192.0.2.0/24"), Why: "spam"},
			{Kind: guard.ClientID, Name: "bad"},
			{Kind: guard.User, Name: "mallory"},
			{Kind: guard.User, Name: "alice", Until: 1}, // long over
		},
	})
	from := func(addr string) string { return "PROXY TCP4 " + addr + " 127.0.0.1 1023 1883\r\n" }
	refused(t, b, from("192.0.2.9")+connect3, 5)
	rec.wait(t, "addr=192.0.2.9:1023", "spam")
	refused(t, b, from("192.0.3.9")+"\x10\x0f\x00\x04MQTT\x04\x02\x00\x00\x00\x03bad", 5)
	refused(t, b, from("192.0.3.9")+login("c", "mallory", "m"), 5)
	c := dial(t, b, 0)
	expect(t, c, from("192.0.2.9")+connect5, "\x20\x0c\x00\x8a")
	expect(t, dial(t, b, 0), from("192.0.3.9")+login("c", "alice", "a"), connack3)
	cfg := broker.Config{
		Anonymous: &yes, Bans: []guard.Ban{{Kind: guard.Network, Network: netip.MustParsePrefix("127.0.0.0/8")}},
		Listeners: []broker.Listener{{URL: "mqtt://127.0.0.1:0", Proxy: true, Trusted: loopback}, {URL: "mqtt://127.0.0.1:0"}},
	}
	reload(t, b, cfg)
	ended(t, dial(t, b, 1)) // not a word
}

// TestBansReachThoseWhoAreThere: a reload that bans somebody ends his
// connections, and leaves all others.
func TestBansReachThoseWhoAreThere(t *testing.T) {
	const secret = "a secret of thirty-two bytes or so"
	yes := true
	cfg := broker.Config{
		Anonymous: &yes, PasswordFile: mosquittoPasswd(t, "alice", "a", "mallory", "m"), Tokens: &broker.Tokens{Secret: secret},
		Listeners: []broker.Listener{{URL: "mqtt://127.0.0.1:0"}},
	}
	b := start(t, cfg)
	alice, mallory, bad := dial(t, b, 0), dial(t, b, 0), dial(t, b, 0)
	expect(t, alice, login("a", "alice", "a"), connack3)
	expect(t, mallory, login("m", "mallory", "m"), connack3)
	expect(t, bad, "\x10\x0f\x00\x04MQTT\x04\x02\x00\x00\x00\x03bad", connack3)
	cfg.Bans = []guard.Ban{{Kind: guard.User, Name: "mallory"}, {Kind: guard.ClientID, Name: "bad"}}
	reload(t, b, cfg)
	ended(t, mallory)
	ended(t, bad)
	expect(t, alice, "\xc0\x00", "\xd0\x00")
	refused(t, b, longLogin("x", signed(secret, fmt.Sprintf(`{"sub":"mallory","exp":%d}`, time.Now().Add(time.Hour).Unix()))), 5) // whatever name he comes with
	cfg.Bans = nil
	reload(t, b, cfg)
	expect(t, dial(t, b, 0), login("m", "mallory", "m"), connack3)

	cfg.BanFile = file(t, "bans", "user alice until 2020-01-01T00:00:00Z\nuser mallory because left\n")
	reload(t, b, cfg)
	refused(t, b, login("m", "mallory", "m"), 5)
	expect(t, alice, "\xc0\x00", "\xd0\x00")
	cfg.BanFile = file(t, "bans", "usr alice\n")
	if err := b.Reload(cfg); err == nil || !strings.Contains(err.Error(), `bans:1: "usr": write address, client or user`) {
		t.Errorf("a list with a mistake: %v", err)
	}
	refused(t, b, login("m", "mallory", "m"), 5)
}

// longLogin is a CONNECT of more than 127 bytes, with a token.
func longLogin(id, token string) string {
	body := "\x00\x04MQTT\x04\xc2\x00\x00" + text(id) + text("any") + text(token)
	return "\x10" + string([]byte{byte(len(body)&127 | 128), byte(len(body) >> 7)}) + body
}

// signed makes a token of HS256.
func signed(secret, claims string) string {
	enc := base64.RawURLEncoding
	text := enc.EncodeToString([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + enc.EncodeToString([]byte(claims))
	h := hmac.New(sha256.New, []byte(secret))
	h.Write([]byte(text))
	return text + "." + enc.EncodeToString(h.Sum(nil))
}

func TestTokens(t *testing.T) {
	const secret = "a secret of thirty-two bytes or so"
	rec, log := newRecords()
	b := start(t, broker.Config{
		Log: log, Tokens: &broker.Tokens{Secret: secret},
		PasswordFile: mosquittoPasswd(t, "alice", "a"),
	})
	long := func(claims string) string { return longLogin("c", signed(secret, claims)) }
	hour := time.Now().Add(time.Hour).Unix()
	c := dial(t, b, 0)
	expect(t, c, long(fmt.Sprintf(`{"sub":"carol","exp":%d,"publ":["out/#"],"subs":["in"]}`, hour)), connack3)
	rec.wait(t, "msg=connected", "user=carol")
	expect(t, c, "\x82\x07\x00\x01\x00\x02in\x00\x82\x08\x00\x02\x00\x03out\x00", "\x90\x03\x00\x01\x00\x90\x03\x00\x02\x80")
	refused(t, b, long(fmt.Sprintf(`{"sub":"carol","exp":%d}`, time.Now().Add(-time.Hour).Unix())), 4)
	rec.wait(t, `msg="login failed"`, "expired")
	expect(t, dial(t, b, 0), login("a", "alice", "a"), connack3) // passwords go on
	soon := dial(t, b, 0)
	expect(t, soon, long(fmt.Sprintf(`{"sub":"carol","exp":%d}`, time.Now().Add(2*time.Second).Unix())), connack3)
	ended(t, soon)
}

func TestQuotas(t *testing.T) {
	yes := true
	b := start(t, broker.Config{
		Anonymous: &yes, PasswordFile: mosquittoPasswd(t, "alice", "a"),
		Listeners: []broker.Listener{{URL: "mqtt://127.0.0.1:0", Name: "one"}, {URL: "mqtt://127.0.0.1:0", Name: "two"}},
		Quotas: []broker.QuotaRule{
			{Users: []string{"alice"}, Quota: broker.Quota{Connections: 1}},
			{Listeners: []string{"two"}, Quota: broker.Quota{Subscriptions: 1}},
			{Clients: []string{"nobody", "few-*"}, Quota: broker.Quota{Subscriptions: 1}},
		},
	})
	few := dial(t, b, 0)
	expect(t, few, "\x10\x11\x00\x04MQTT\x04\x02\x00\x00\x00\x05few-1", connack3)
	expect(t, few, "\x82\x0a\x00\x01\x00\x01a\x00\x00\x01b\x00", "\x90\x04\x00\x01\x00\x80")
	alice := dial(t, b, 0)
	expect(t, alice, login("a", "alice", "a"), connack3)
	refused(t, b, login("b", "alice", "a"), 3)
	for i, code := range []string{"\x00", "\x80"} {
		c := dial(t, b, i)
		expect(t, c, connect3, connack3)
		expect(t, c, "\x82\x0a\x00\x01\x00\x01a\x00\x00\x01b\x00", "\x90\x04\x00\x01\x00"+code)
	}
}

// TestQuotasOfRoles: users have roles in the access control file, and a reload
// gives and takes quotas of those who are connected.
func TestQuotasOfRoles(t *testing.T) {
	cfg := broker.Config{
		PasswordFile: mosquittoPasswd(t, "alice", "a", "bob", "b"),
		ACLFile:      file(t, "acl", "role guests = alice\neveryone\nallow all #\n"),
		Listeners:    []broker.Listener{{URL: "mqtt://127.0.0.1:0"}},
		Quotas:       []broker.QuotaRule{{Roles: []string{"guests"}, Quota: broker.Quota{Subscriptions: 1}}},
	}
	b := start(t, cfg)
	alice, bob := dial(t, b, 0), dial(t, b, 0)
	expect(t, alice, login("a", "alice", "a"), connack3)
	expect(t, bob, login("b", "bob", "b"), connack3)
	const two = "\x82\x0a\x00\x01\x00\x01a\x00\x00\x01b\x00"
	expect(t, alice, two, "\x90\x04\x00\x01\x00\x80")
	expect(t, bob, two, "\x90\x04\x00\x01\x00\x00")
	cfg.ACLFile = file(t, "acl", "role guests = bob\neveryone\nallow all #\n")
	reload(t, b, cfg)
	expect(t, alice, two, "\x90\x04\x00\x01\x00\x00")
	expect(t, bob, "\x82\x06\x00\x01\x00\x01c\x00", "\x90\x03\x00\x01\x80")
}
