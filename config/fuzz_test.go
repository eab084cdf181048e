package config

import (
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/pelletier/go-toml/v2"
)

// FuzzLoad: whatever a file has, nothing panics; what the library's decoder
// refuses is refused, what it takes is no syntax error; and a configuration
// that is fine can be shown and read again.
func FuzzLoad(f *testing.F) {
	f.Add([]byte(Example()))
	f.Add([]byte("a.b = 1\n[a]\n[[a.b]]\nx = {y.z = [1, 2]}\n[a.x.y]\n"))
	f.Add([]byte("[[listener]]\nurl = 'mqtt://:1883'\ntls = { cert.x = 1 }\n[listener.limits]\ninflight_max = 5\n[[listener]]\nurl='unix:///a'\nmode='0600'\n"))
	f.Add([]byte("[auth.peer.users]\n\"a b\" = \"c\"\n1 = 'x'\n[limits]\npacket_bytes_max = 0x20\nconnect_timeout = '1h30m'\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		tree, problems := parseTOML("f", data)
		var any map[string]any
		err := toml.Unmarshal(data, &any)
		if err == nil && len(problems) > 0 {
			t.Fatalf("the library takes it: %v", problems)
		}
		if err != nil && len(problems) == 0 && !hasNumbers(tree) {
			t.Fatalf("the library refuses it: %v", err)
		}
		file, problems := loadText(string(data))
		if err != nil && len(problems) == 0 {
			t.Fatalf("no problem with what the library refuses: %v", err)
		}
		if len(problems) > 0 {
			for _, p := range problems {
				if p.What == "" || strings.Contains(p.String(), "\n") {
					t.Fatalf("a problem of other than one line: %q", p.String())
				}
			}
			return
		}
		again, problems := loadText(file.Text(true))
		if len(problems) > 0 || !reflect.DeepEqual(file.Plain(), again.Plain()) {
			t.Fatalf("shown and read again: %v\n%s\n%s", problems, file.Text(false), again.Text(false))
		}
		if changes := Diff(file, again); changes != nil {
			t.Fatalf("differences to itself: %v", changes)
		}
	})
}

// hasNumbers finds values that the decoder looks at closer than the parser.
func hasNumbers(v *value) bool {
	if v.kind == kindInteger || v.kind == kindFloat || v.kind == kindTime {
		return true
	}
	if slices.ContainsFunc(v.list, hasNumbers) {
		return true
	}
	for _, f := range v.fields {
		if hasNumbers(f.value) {
			return true
		}
	}
	return false
}

func loadText(text string) (*File, []Problem) {
	l := &loader{
		open: func(path string) ([]byte, error) {
			if path == "f" {
				return []byte(text), nil
			}
			return []byte("secret"), nil
		},
		glob: func(string) ([]string, error) { return nil, nil },
		// What has a dot is a file, the rest are directories.
		stat: func(path string) (fs.FileInfo, error) {
			if strings.Contains(filepath.Base(path), ".") {
				return os.Stat("fuzz_test.go")
			}
			return os.Stat(".")
		},
	}
	return l.load("f", nil)
}

// FuzzEnvironment: whatever a variable is called and says, nothing panics and
// the same variable gives the same.
func FuzzEnvironment(f *testing.F) {
	f.Add("LISTENER__0__URL", "mqtt://:1883")
	f.Add("LISTENER__9999999999999999999999__URL", "x")
	f.Add("AUTH__PEER__USERS__A__B", "x")
	f.Add("LIMITS____", "")
	f.Add("LISTENER__0__TLS__CERTIFICATE__0__CERT", "x,y")
	f.Add("AUTH__BANS__NETWORKS", "10.0.0.0/8, ::1")
	f.Fuzz(func(t *testing.T, name, text string) {
		l := &loader{env: []string{envPrefix + name + "=" + text}, open: os.ReadFile, stat: os.Stat}
		_, problems := l.load("", []Override{{Key: strings.ToLower(strings.ReplaceAll(name, "__", ".")), Value: text, Source: "--flag"}})
		for _, p := range problems {
			if p.What == "" {
				t.Fatalf("an empty problem: %+v", p)
			}
		}
	})
}
