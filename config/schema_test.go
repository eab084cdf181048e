package config_test

import (
	"os"
	"os/exec"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/loopmq/loopmq/broker"
	"github.com/loopmq/loopmq/config"
)

// fields are the paths of all fields of a File, in lower case.
func fields(t reflect.Type, path string) (all []string) {
	for f := range t.Fields() {
		if path == "" && !f.IsExported() {
			continue // not of the file
		}
		name := path + strings.ToLower(f.Name)
		inner := f.Type
		if f.Anonymous {
			all = append(all, fields(inner, path)...)
			continue
		}
		if inner.Kind() == reflect.Slice && inner.Elem().Kind() == reflect.Struct && inner.Elem().NumField() > 0 && inner.Elem().Field(0).IsExported() {
			inner = inner.Elem()
			name = strings.TrimSuffix(name, "s")
		}
		if inner.Kind() == reflect.Struct && inner != reflect.TypeFor[config.Rate]() {
			all = append(all, fields(inner, name+".")...)
		} else {
			all = append(all, name)
		}
	}
	return all
}

// TestEveryFieldHasItsKey: each field of File is read from one key of its name,
// and each key goes somewhere.
func TestEveryFieldHasItsKey(t *testing.T) {
	var keys []string
	for _, k := range config.Keys() {
		if k.Kind != config.KindTable && k.Kind != config.KindTables && !strings.Contains("."+k.Path, ".limits.") {
			keys = append(keys, strings.ReplaceAll(k.Path, "_", ""))
		}
		if k.Doc == "" || !strings.HasSuffix(strings.TrimRight(k.Doc, `"[]`), ".") && !strings.HasSuffix(k.Doc, "}.") && !strings.HasSuffix(k.Doc, "?") {
			t.Errorf("%s: the doc is no sentence: %q", k.Path, k.Doc)
		}
	}
	want := fields(reflect.TypeFor[config.File](), "")
	// Limits have the names of the broker's table.
	want = slices.DeleteFunc(want, func(f string) bool { return strings.Contains("."+f, ".limits.") })
	slices.Sort(keys)
	slices.Sort(want)
	if !slices.Equal(keys, want) {
		t.Errorf("keys\n%q\nfields\n%q", keys, want)
	}
}

func TestLimitsAreTheBrokers(t *testing.T) {
	f := config.Default()
	f.Limits.SysInterval = f.SysInterval // a key of the top
	if f.Limits != broker.DefaultLimits() {
		t.Errorf("defaults: got %+v", f.Limits)
	}
	n := 0
	for _, k := range config.Keys() {
		if strings.HasPrefix(k.Path, "limits.") {
			n++
		}
	}
	if want := len(broker.LimitRows()) - 1; n != want {
		t.Errorf("%d keys, want %d", n, want)
	}
}

// TestExample: as written it says nothing, and each of its lines can be taken.
func TestExample(t *testing.T) {
	dir := t.TempDir()
	f := load(t, write(t, dir, "a.toml", config.Example()), nil)
	if want := config.Default(); !reflect.DeepEqual(f.Plain(), want.Plain()) {
		t.Errorf("got %+v\nwant %+v", f, want)
	}
	all := regexp.MustCompile(`(?m)^#(\[|[a-z_]+ = )`).ReplaceAllString(config.Example(), "$1")
	_, problems := config.Load(write(t, dir, "b.toml", all), nil, nil)
	for _, p := range problems {
		// The only listener is one of MQTT without TLS and has keys of all kinds.
		if !strings.Contains(p.What, "makes no sense with mqtt://") {
			t.Error(p)
		}
	}
	if n, want := len(regexp.MustCompile(`(?m)^#[a-z_]+ = `).FindAllString(config.Example(), -1)), len(plainKeys()); n != want {
		t.Errorf("%d keys in the example, want %d", n, want)
	}
}

func plainKeys() []config.Key {
	return slices.DeleteFunc(config.Keys(), func(k config.Key) bool {
		return k.Kind == config.KindTable || k.Kind == config.KindTables
	})
}

// full sets every kind of key.
const full = `
engine = "epoll"
state_dir = "state"
sys_interval = "1h30m"
[log]
level = "debug"
to = "./loopmq.log"
[limits]
memory_limit = "1GiB"
packet_bytes_max = 3_000_000
session_expiry = "2w"
[[listener]]
url = "mqtts://:8883"
name = "secure"
versions = ["3.1.1", "5"]
max_connections = 0x10
connect_rate = "100/s"
anonymous = false
proxy_protocol = "any"
proxy_trusted = ["10.0.0.0/8", "::1"]
limits.inflight_max = 1
limits.keep_alive_max = "1m"
[listener.tls]
cert = "ok.pem"
ca = "."
client_certs = "required"
user_from = "cn"
alpn = ["mqtt"]
max_record = "1KiB"
[[listener.tls.certificate]]
cert = "ok.pem"
key = "ok.pem"
[[listener.tls.certificate]]
cert = "ok.pem"
[[listener]]
url = "unix:///run/loopmq.sock"
mode = "660"
owner = "loopmq"
[[listener]]
url = "wss://[::1]:8084"
path = "/mqtt"
origins = ["https://example.org"]
connect_rate = "5/10s"
tls = { cert = "ok.pem", min_version = "1.3" }
[auth]
chain = ["certificate", "peer", "password"]
anonymous = true
password_file = "ok.pem"
peer.users = { 1000 = "nodered", "a b" = "quote \" and \\ and ü" }
jwt.secret_file = "ok.pem"
bans.networks = ["192.0.2.7", "2001:db8::/32"]
bans.client_ids = ["#'"]
`

// TestShownConfigurationIsTheSame: what show prints can be read again.
func TestShownConfigurationIsTheSame(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "ok.pem", "secret\n")
	want := load(t, write(t, dir, "loopmq.toml", full), nil)
	if want.Listeners[0].Name != "secure" || want.Listeners[0].MaxConnections != 16 || want.Listeners[1].Name != "unix:///run/loopmq.sock" {
		t.Errorf("got %+v", want.Listeners)
	}
	for _, all := range []bool{false, true} {
		text := want.Text(all)
		if strings.Contains(text, "secret\"") {
			t.Errorf("the secret is shown:\n%s", text)
		}
		got := load(t, write(t, dir, "shown.toml", text), nil)
		if !reflect.DeepEqual(got.Plain(), want.Plain()) {
			t.Errorf("all=%t: got %+v\nwant %+v\n%s", all, got, want, text)
		}
	}
	if config.Default().Text(false) != "" {
		t.Error("defaults are shown as changes")
	}
	object, err := want.JSON()
	if err != nil || !strings.Contains(string(object), `"session_expiry": "14d"`) || strings.Contains(string(object), "null") {
		t.Errorf("JSON: %v\n%s", err, object)
	}
}

func TestSecrets(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "secret", "from a file\r\n")
	write(t, dir, "credentials/auth.http.token", "from a credential")
	path := write(t, dir, "loopmq.toml", "[auth]\njwt.secret_file = 'secret'\nhttp.user_url = 'https://auth.example.org/'\n")
	f := load(t, path, []string{"CREDENTIALS_DIRECTORY=" + dir + "/credentials"})
	if string(f.Auth.JWT.Secret) != "from a file" || string(f.Auth.HTTP.Token) != "from a credential" {
		t.Errorf("got %q, %q", string(f.Auth.JWT.Secret), string(f.Auth.HTTP.Token))
	}
	f = load(t, path, []string{"CREDENTIALS_DIRECTORY=" + dir, "LOOPMQ_AUTH__JWT__SECRET_FILE=$CREDENTIALS_DIRECTORY/credentials/auth.http.token"})
	if string(f.Auth.JWT.Secret) != "from a credential" {
		t.Errorf("got %q", string(f.Auth.JWT.Secret))
	}
}

func TestDiff(t *testing.T) {
	dir := t.TempDir()
	old := load(t, write(t, dir, "a.toml", `
engine = "epoll"
[auth.jwt]
secret = "a"
[[durability]]
filter = "a/#"
class = "lazy"
[[quota]]
users = ["amy"]
messages_in = 10
[[listener]]
url = "mqtt://:1883"
name = "a"
[[listener]]
url = "mqtt://:1884"
[[listener]]
url = "mqtt://:1885"
max_connections = 5
[[listener]]
url = "unix:///run/a.sock"
mode = "0600"
`), nil)
	now := load(t, write(t, dir, "b.toml", `
sys_interval = "20s"
[auth.jwt]
secret = "b"
[[durability]]
filter = "a/#"
class = "none"
[[quota]]
users = ["amy"]
messages_in = 20
[[quota]]
subscriptions = 5
[[listener]]
url = "mqtt://:1885"
max_connections = 6
[[listener]]
url = "mqtt://:1886"
[[listener]]
url = "mqtt://:1887"
name = "a"
[[listener]]
url = "unix:///run/a.sock"
mode = "0660"
`), nil)
	var got []string
	for _, c := range config.Diff(old, now) {
		got = append(got, c.String())
	}
	want := []string{
		`engine: "epoll" -> "" (needs a restart)`,
		`sys_interval: "10s" -> "20s" (live)`,
		`auth.jwt.secret: "(secret)" -> "(secret)" (live)`,
		`quota: [{ users = ["amy"], messages_in = 10 }] -> [{ users = ["amy"], messages_in = 20 }, { subscriptions = 5 }] (live)`,
		`durability.0.class: "lazy" -> "none" (live)`,
		`listener "mqtt://:1885" max_connections: 5 -> 6 (live)`,
		`listener "mqtt://:1886": opened at "mqtt://:1886"`,
		`listener "a": opened at "mqtt://:1887"`,
		`listener "unix:///run/a.sock" mode: "0600" -> "0660" (listener opened anew)`,
		`listener "a": closed at "mqtt://:1883"`,
		`listener "mqtt://:1884": closed at "mqtt://:1884"`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if same := config.Diff(now, now); same != nil {
		t.Errorf("a configuration differs from itself: %v", same)
	}
}

func TestExplain(t *testing.T) {
	for path, want := range map[string]int{
		"limits.inflight_max": 1, "listener.0.tls.certificate": 3, "inflight_max": 2, "packet-bytes-max": 2, "auth.jwt": 10,
	} {
		if found, _ := config.Explain(path); len(found) != want {
			t.Errorf("%s: found %d keys, want %d", path, len(found), want)
		}
	}
	if _, near := config.Explain("inflight_mx"); near != "limits.inflight_max" {
		t.Errorf("near inflight_mx: %q", near)
	}
}

func TestEndpoints(t *testing.T) {
	for url, want := range map[string]string{
		"mqtt://": ":1883", "mqtts://[::1]": "[::1]:8883", "ws://localhost/a": "localhost:8083", "wss://:1": ":1",
		"unix:///run/a//b.sock": "/run/a/b.sock", "tcp://[fe80::1%25eth0]:0": "[fe80::1%eth0]:0",
	} {
		e, err := (&config.Listener{URL: url}).Endpoint()
		if err != nil || e.Address() != want {
			t.Errorf("%s: %q, %v; want %q", url, e.Address(), err, want)
		}
	}
}

// TestManPage has the formatter read the man page.
func TestManPage(t *testing.T) {
	man, err := exec.LookPath("groff")
	if err != nil {
		t.Fatal("no groff here; make test-deps installs it")
	}
	out, err := exec.Command(man, "-man", "-Tascii", "-ww", "-z", "../packaging/man/loopmq.toml.5").CombinedOutput()
	if err != nil || len(out) > 0 {
		t.Errorf("%v\n%s", err, out)
	}
	if _, err := os.Stat("../packaging/man/loopmq.toml.5"); err != nil {
		t.Error(err)
	}
}
