package broker_test

import (
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/loopmq/loopmq/broker"
)

func reload(t *testing.T, b *broker.Broker, cfg broker.Config) {
	t.Helper()
	if err := b.Reload(cfg); err != nil {
		t.Fatal(err)
	}
}

func TestReloadOfListeners(t *testing.T) {
	base := broker.Config{Engine: "epoll", Listeners: []broker.Listener{{URL: "mqtt://127.0.0.1:0"}}}
	b := start(t, base)
	stays := dial(t, b, 0)
	expect(t, stays, connect3, connack3)

	path := shortPath(t)
	more := base
	more.Listeners = []broker.Listener{{URL: "unix://" + path}, {URL: "mqtt://127.0.0.1:0", Versions: []byte{5}}}
	before := b.Addrs()[0].String()
	reload(t, b, more)
	if got := b.Addrs()[1].String(); got != before {
		t.Errorf("the listener that stays moved from %s to %s", before, got)
	}
	expect(t, stays, "\xc0\x00", "\xd0\x00")
	local := dial(t, b, 0)
	expect(t, local, "\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x01l", connack3)
	expect(t, dial(t, b, 1), connect3, "\x20\x02\x00\x01") // 3.1.1 no longer

	reload(t, b, base) // and the other way round
	expect(t, local, "\xc0\x00", "\xd0\x00")
	if c, err := net.Dial("unix", path); err == nil {
		c.Close()
		t.Error("a listener that is gone still accepts")
	}
	expect(t, dial(t, b, 0), "\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x01m", connack3)
	expect(t, stays, "\xc0\x00", "\xd0\x00")
}

// A reload that fails changes nothing, wherever it fails.
func TestReloadThatFailsChangesNothing(t *testing.T) {
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	path := shortPath(t)
	passwords := mosquittoPasswd(t, "alice", "a")
	good := broker.Config{Engine: "epoll", PasswordFile: passwords, Listeners: []broker.Listener{{URL: "mqtt://127.0.0.1:0"}}}
	b := start(t, good)
	alice := dial(t, b, 0)
	expect(t, alice, login("a", "alice", "a"), connack3)
	for _, c := range []struct {
		change func(*broker.Config)
		want   string
	}{
		{func(c *broker.Config) { c.Engine = "evio" }, "restart the broker for that"},
		{func(c *broker.Config) { c.PasswordFile = "/nowhere" }, "password file: open /nowhere"},
		{func(c *broker.Config) { c.ACLFile = "/nowhere" }, "access control file: open /nowhere"},
		{func(c *broker.Config) { c.Limits.InflightMax = -1 }, "inflight-max -1"},
		{func(c *broker.Config) { c.ResponsePrefix = "#" }, "response prefix"},
		{func(c *broker.Config) { c.Listeners = []broker.Listener{{URL: "steam://"}} }, `scheme "steam" is not served`},
		{func(c *broker.Config) {
			c.Listeners = []broker.Listener{{URL: "unix://" + path}, {URL: "mqtt://" + busy.Addr().String()}}
		}, "address in use"},
	} {
		bad := good
		c.change(&bad)
		if err := b.Reload(bad); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want %s", err, c.want)
		}
		expect(t, alice, "\xc0\x00", "\xd0\x00")
		expect(t, dial(t, b, 0), login("b", "alice", "a"), connack3)
		if _, err := os.Stat(path); err == nil {
			t.Error("a listener was left behind")
		}
	}
}

func TestReloadOfUsersAndRules(t *testing.T) {
	eachEngine(t, func(t *testing.T, engine string) {
		cfg := broker.Config{
			Engine: engine, Listeners: []broker.Listener{{URL: "mqtt://127.0.0.1:0"}},
			PasswordFile: mosquittoPasswd(t, "alice", "a", "bob", "b"),
		}
		b := start(t, cfg)
		alice, bob := dial(t, b, 0), dial(t, b, 0)
		expect(t, alice, login("a", "alice", "a"), connack3)
		expect(t, bob, login("b", "bob", "b"), connack3)
		expect(t, bob, "\x82\x06\x00\x01\x00\x01#\x00", "\x90\x03\x00\x01\x00")

		cfg.ACLFile = file(t, "acl", "user alice\ntopic readwrite #\nuser bob\ntopic read ok\n")
		reload(t, b, cfg)
		expect(t, alice, "\x30\x05\x00\x02nox\x30\x05\x00\x02okx", "")
		expect(t, bob, "", "\x30\x05\x00\x02okx") // his filter stands, his rights are fewer

		cfg.ACLFile = ""
		reload(t, b, cfg)
		expect(t, alice, "\x30\x05\x00\x02nox", "")
		expect(t, bob, "", "\x30\x05\x00\x02nox")

		cfg.PasswordFile = mosquittoPasswd(t, "bob", "new")
		reload(t, b, cfg)
		ended(t, alice)                        // is no user any more
		expect(t, bob, "\xc0\x00", "\xd0\x00") // still is
		refused(t, b, login("c", "bob", "b"), 4)
		expect(t, dial(t, b, 0), login("c", "bob", "new"), connack3)

		yes, no := true, false
		cfg.Anonymous = &yes
		reload(t, b, cfg)
		guest := dial(t, b, 0)
		expect(t, guest, connect3, connack3)
		cfg.Anonymous = &no
		reload(t, b, cfg)
		ended(t, guest)
		expect(t, bob, "\xc0\x00", "\xd0\x00")
	})
}

// Clients go on publishing through reloads, good and bad; nobody is
// disconnected, nothing is lost.
func TestReloadUnderLoad(t *testing.T) {
	const clients = 1000
	cfg := broker.Config{
		Limits: broker.Limits{LateBytesMax: 64 << 20}, // the subscriber has QoS 0, and is to get all the same
		Engine: "epoll", Listeners: []broker.Listener{{URL: "mqtt://127.0.0.1:0"}},
		PasswordFile: mosquittoPasswd(t, "u", "p"), ACLFile: file(t, "acl", "user u\ntopic readwrite t/#\n"),
	}
	b := start(t, cfg)
	sub := dial(t, b, 0)
	expect(t, sub, login("sub", "u", "p")+"\x82\x08\x00\x01\x00\x03t/#\x00", connack3+"\x90\x03\x00\x01\x00")
	var all []net.Conn
	for i := range clients {
		c := dial(t, b, 0)
		expect(t, c, login(fmt.Sprintf("p%03d", i), "u", "p"), connack3)
		all = append(all, c)
	}
	var publishing sync.WaitGroup
	var sent atomic.Int64
	over := make(chan struct{})
	for i, c := range all {
		publishing.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-over:
					return
				default:
				}
				id := string([]byte{1, byte(n)})
				if _, err := io.WriteString(c, "\x32\x0a\x00\x05t/"+fmt.Sprintf("%03d", i)+id+"x"); err != nil {
					t.Error(err)
					return
				}
				ack := make([]byte, 4)
				if _, err := io.ReadFull(c, ack); err != nil || string(ack) != "\x40\x02"+id {
					t.Errorf("client %d, message %d: % x, %v", i, n, ack, err)
					return
				}
				sent.Add(1)
			}
		})
	}
	var read atomic.Int64
	gone := make(chan error, 1)
	go func() {
		message := make([]byte, 10)
		for {
			if _, err := io.ReadFull(sub, message); err != nil {
				gone <- err
				return
			}
			read.Add(1)
		}
	}()
	bad := cfg
	bad.ACLFile = "/nowhere"
	// On a busy machine a hundred are over before the clients have said much.
	for end, n := time.Now().Add(patience), 0; n < 100 || sent.Load() <= 2*clients && time.Now().Before(end); n++ {
		reload(t, b, cfg)
		if b.Reload(bad) == nil {
			t.Error("a bad configuration was taken")
		}
	}
	close(over)
	publishing.Wait()
	for deadline := time.Now().Add(patience); read.Load() != sent.Load(); {
		select {
		case err := <-gone:
			t.Fatalf("%d of %d messages arrived: %v", read.Load(), sent.Load(), err)
		case <-time.After(time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d of %d messages arrived", read.Load(), sent.Load())
		}
	}
	sub.Close()
	<-gone
	if n := sent.Load(); n < 2*clients {
		t.Errorf("only %d messages were published meanwhile", n)
	}
}

// Listeners with users and rules of their own; a reload of one leaves the other.
func TestListenersWithTheirOwnUsers(t *testing.T) {
	read := file(t, "read", "user a\ntopic read #\n")
	write := file(t, "write", "user a\ntopic write #\n")
	inside := mosquittoPasswd(t, "a", "inside")
	cfg := broker.Config{
		Engine: "epoll", PasswordFile: mosquittoPasswd(t, "a", "outside"), ACLFile: read,
		Listeners: []broker.Listener{
			{URL: "mqtt://127.0.0.1:0"},
			{URL: "mqtt://127.0.0.1:0", Name: "inside", PasswordFile: inside, ACLFile: write},
			{URL: "mqtt://127.0.0.1:0", Name: "closed", Ways: []string{"certificate"}},
		},
	}
	b := start(t, cfg)
	outer, inner := dial(t, b, 0), dial(t, b, 1)
	expect(t, outer, login("o", "a", "outside"), connack3)
	expect(t, inner, login("i", "a", "inside"), connack3)
	expect(t, dial(t, b, 1), login("x", "a", "outside"), "\x20\x02\x00\x04") // though it is remembered for the other
	expect(t, dial(t, b, 2), login("x", "a", "outside"), "\x20\x02\x00\x05")
	subscribe := "\x82\x06\x00\x01\x00\x01t\x00"
	expect(t, outer, subscribe, "\x90\x03\x00\x01\x00")
	expect(t, inner, subscribe, "\x90\x03\x00\x01\x80")
	expect(t, inner, "\x30\x04\x00\x01tx", "")
	expect(t, outer, "", "\x30\x04\x00\x01tx")

	cfg.Listeners[1].ACLFile = read
	reload(t, b, cfg)
	expect(t, inner, subscribe, "\x90\x03\x00\x01\x00")
	cfg.Listeners[1].ACLFile, cfg.ACLFile = write, ""
	reload(t, b, cfg)
	expect(t, inner, subscribe, "\x90\x03\x00\x01\x80")
	expect(t, outer, "\x30\x04\x00\x01ty", "\x30\x04\x00\x01ty") // is allowed everything now
	expect(t, inner, "\xc0\x00", "\xd0\x00")
	if _, err := broker.New(broker.Config{Ways: []string{"magic"}}); err == nil || !strings.Contains(err.Error(), `way to log in "magic": use certificate, peer, password, jwt, backends`) {
		t.Errorf("got %v", err)
	}
}

// TestReloadOfListenerLimits: they change live, also to packets that the loop had
// no room for before, and for those who connect from then on.
func TestReloadOfListenerLimits(t *testing.T) {
	eachEngine(t, func(t *testing.T, engine string) {
		cfg := broker.Config{Engine: engine, Listeners: []broker.Listener{{URL: "mqtt://127.0.0.1:0"}, {URL: "mqtt://127.0.0.1:0", Name: "small"}}}
		b := start(t, cfg)
		big := make([]byte, 6<<20)
		packet := "\x32\x85\x80\x80\x03\x00\x01t\x00\x01" + string(big) // 6 MiB and 5 bytes
		stays := dial(t, b, 0)
		expect(t, stays, connect3, connack3)

		cfg.Listeners = []broker.Listener{
			{URL: "mqtt://127.0.0.1:0", Limits: broker.Limits{PacketBytesMax: 8 << 20}},
			{URL: "mqtt://127.0.0.1:0", Name: "small", Limits: broker.Limits{PacketBytesMax: 64}},
		}
		reload(t, b, cfg)
		c := dial(t, b, 0)
		expect(t, c, "\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x01l", connack3)
		expect(t, c, packet, "\x40\x02\x00\x01")
		few := dial(t, b, 1)
		expect(t, few, "\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x01m", connack3)
		expect(t, few, "\x30\x48\x00\x01t", "")
		ended(t, few)
		expect(t, stays, "\xc0\x00", "\xd0\x00")
	})
}
