package config_test

import (
	"net/netip"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/loopmq/loopmq/auth/guard"
	"github.com/loopmq/loopmq/auth/token"
	"github.com/loopmq/loopmq/broker"
	"github.com/loopmq/loopmq/internal/testkit"
)

func class(t *testing.T, name string) broker.Durability {
	t.Helper()
	d, err := broker.ParseDurability(name)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestBroker: a file becomes the settings of a broker, which serves them.
func TestBroker(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "acl", "topic #\n")
	f := load(t, write(t, dir, "loopmq.toml", `
shutdown_timeout = "0s"
lazy_interval = "2s"
state_segment_bytes = "1000KiB"
state_bytes_max = "64MiB"
state_bytes_per_day_warn = "1GB"
durability = [{ filter = "telemetry/#", class = "lazy" }, { filter = "debug/#", class = "none" }]
response_prefix = "-"
queue_full = "drop-newest"
limits.inflight_max = 5
[[listener]]
url = "mqtt://127.0.0.1:0"
versions = ["5", "3.1"]
connect_rate = "90/m"
anonymous = false
proxy_protocol = "v2"
proxy_trusted = ["10.0.0.0/8"]
[[listener]]
url = "ws://127.0.0.1:0"
origins = ["https://example.org"]
path = "/a"
[[listener]]
url = "unix://`+filepath.Join(dir, "s")+`"
mode = "0600"
[auth]
acl_file = "acl"
anonymous = true
jwt.secret = "a secret that has thirty-two bytes"
http.user_url = "http://127.0.0.1:1/"
peer.users = { 4711 = "nodered" }
guard.failures = 0
bans.networks = ["192.0.2.0/24"]
bans.users = ["mallory"]
bans.client_ids = ["bad"]
`), nil)
	got, err := f.Broker()
	if err != nil {
		t.Fatal(err)
	}
	on, off := true, false
	want := broker.Config{
		QueueFull: 1, // drop-newest
		Tokens:    &broker.Tokens{Secret: "a secret that has thirty-two bytes", Check: token.Config{UserClaim: "sub", Leeway: time.Minute}},
		Processes: map[uint32]string{4711: "nodered"},
		Guard:     guard.Config{AddressBurst: -1, UserBurst: -1, Refill: 5 * time.Minute, DelayMax: 15 * time.Minute},
		Bans: []guard.Ban{
			{Kind: guard.Network, Network: netip.MustParsePrefix("192.0.2.0/24")}, {Kind: guard.User, Name: "mallory"}, {Kind: guard.ClientID, Name: "bad"},
		},
		LazyInterval: 2 * time.Second, State: broker.StateOptions{SegmentBytes: 1000 << 10, BytesMax: 64 << 20, WrittenPerDayWarn: 1e9},
		Durability:      []broker.DurabilityRule{{Filter: "telemetry/#", Class: class(t, "lazy")}, {Filter: "debug/#", Class: class(t, "none")}},
		ShutdownTimeout: 1, ResponsePrefix: "-", Limits: broker.DefaultLimits(), ACLFile: filepath.Join(dir, "acl"), Anonymous: &on,
		Listeners: []broker.Listener{
			{
				URL: "mqtt://127.0.0.1:0", Name: "mqtt://127.0.0.1:0", Versions: []byte{5, 3}, AcceptRate: 2, Anonymous: &off,
				Proxy: true, ProxyVersion: 2, Trusted: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")},
			},
			{URL: "ws://127.0.0.1:0/a", Name: "ws://127.0.0.1:0", Origins: []string{"https://example.org"}},
			{URL: "unix://" + filepath.Join(dir, "s"), Name: "unix://" + filepath.Join(dir, "s"), Mode: 0o600},
		},
	}
	want.Limits.InflightMax = 5
	if len(got.Backends) != 1 || got.Backends[0].Name() != "login service 127.0.0.1:1" {
		t.Errorf("backends %v", got.Backends)
	}
	want.Backends = got.Backends
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	serves(t, got, 3)
}

// TestListenerLimits: what a listener says of limits is the broker's, the rest
// is left to [limits].
func TestListenerLimits(t *testing.T) {
	dir := t.TempDir()
	f := load(t, write(t, dir, "loopmq.toml", `
limits.inflight_max = 7
[[listener]]
url = "mqtt://:0"
limits.inflight_max = 5
limits.packet_bytes_max = "1kB"
`), nil)
	got, err := f.Broker()
	if err != nil {
		t.Fatal(err)
	}
	if want := (broker.Limits{InflightMax: 5, PacketBytesMax: 1000}); got.Listeners[0].Limits != want {
		t.Errorf("got %+v, want %+v", got.Listeners[0].Limits, want)
	}
	serves(t, got, 1)
}

// serves starts a broker and counts its addresses.
func serves(t *testing.T, cfg broker.Config, addrs int) {
	t.Helper()
	b, err := broker.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer testkit.Serve(t, b)()
	if n := len(b.Addrs()); n != addrs {
		t.Errorf("%d addresses", n)
	}
}
