package mosquitto

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// TestEveryOptionIsTold: no option of Mosquitto 2.0 and 2.1 is passed over in
// silence: it changes our configuration, or a note says by its line what becomes
// of it. Other values than ours are tried.
func TestEveryOptionIsTold(t *testing.T) {
	silent := map[string]string{
		"set_tcp_nodelay":                "it is always so",
		"auth_plugin_deny_special_chars": "it is about plug-ins, and they are refused",
	}
	beside := map[string]string{ // without which it has no effect there either
		"websockets_origin": "protocol websockets", "persistence_location": "persistence true",
		"cafile": "require_certificate true", "capath": "require_certificate true",
	}
	values := []string{
		"true", "false", "7", "2", "x", "/x", "websockets", "ipv4", "tlsv1.3", "pem", "engine", "2h", "3",
		"syslog", "debug", "1.2.3.4", "18830", "automatic", "testdata/conf.d", "/lib/x.so", "# in",
	}
	text, err := os.ReadFile("testdata/options.txt")
	if err != nil {
		t.Fatal(err)
	}
	told := func(name, value string) bool {
		lines := []string{"listener 1883", "allow_anonymous true", "certfile /c", "keyfile /k"}
		if name == "listener_allow_anonymous" {
			lines = slices.Delete(lines, 1, 2)
		}
		if line := beside[name]; line != "" {
			lines = append(lines, line)
		}
		if options()[name].bridge {
			lines = append(lines, "connection b", "address h")
		}
		result := func(lines []string) (text string, notes []Note) {
			r := convert("m.conf", []byte(strings.Join(lines, "\n")+"\n"), "/", os.ReadFile, dirFiles)
			return r.Config.Text(true), r.Notes
		}
		before, _ := result(lines)
		after, notes := result(append(slices.Clone(lines), name+" "+value))
		return before != after || slices.ContainsFunc(notes, func(n Note) bool { return n.Line == len(lines)+1 && n.Text != "" })
	}
	for name := range strings.FieldsSeq(string(text)) {
		if silent[name] != "" || strings.HasSuffix(name, "_opt_*") {
			continue
		}
		good := false
		for _, v := range values {
			good = good || told(name, v)
		}
		if !good {
			t.Errorf("%s is passed over in silence", name)
		}
	}
	for _, name := range []string{"auth_opt_x", "plugin_opt_x"} {
		if !told(name, "y") {
			t.Errorf("%s is passed over in silence", name)
		}
	}
}

// TestPerListenerSettings: what belongs to a listener then is said of it alone,
// and an included file begins without a listener.
func TestPerListenerSettings(t *testing.T) {
	files := map[string]string{"/d/a.conf": "listener 1884\nacl_file /a\nallow_anonymous false\n", "/d/b.conf": "listener 1885\nallow_anonymous true\n"}
	r := convert("m.conf", []byte("per_listener_settings true\nlistener 1883\npassword_file /p\ninclude_dir /d\nmax_topic_alias 4\n"), "/",
		func(path string) ([]byte, error) { return []byte(files[path]), nil },
		func(string) ([]string, error) { return []string{"/d/a.conf", "/d/b.conf"}, nil })
	if refused := r.Refused(); len(refused) > 0 {
		t.Fatal(refused)
	}
	var got []string
	for _, l := range r.Config.Listeners {
		got = append(got, fmt.Sprintf("%s %q %q %v %d", l.URL, l.PasswordFile, l.ACLFile, l.Anonymous, l.Limits.TopicAliasMax))
	}
	want := []string{`mqtt://:1883 "/p" "" 2 4`, `mqtt://:1884 "" "/a" 2 0`, `mqtt://:1885 "" "" 1 0`}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
