package mosquitto

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/loopmq/loopmq/config"
)

var update = flag.Bool("update", false, "write the expected texts anew")

// TestSamples holds what becomes of each testdata/*.conf against the .toml of
// its name: the file that import writes, or the reasons why it does not.
func TestSamples(t *testing.T) {
	names, err := filepath.Glob("testdata/*.conf")
	if err != nil || len(names) < 8 {
		t.Fatalf("%d samples, %v", len(names), err)
	}
	for _, name := range names {
		r, err := Read(name)
		if err != nil {
			t.Fatal(err)
		}
		got := r.Text(name)
		if refused := r.Refused(); len(refused) > 0 {
			got = "# Refused:\n"
			for _, n := range r.Notes {
				sign := "#   "
				if n.Refuses {
					sign = "# ! "
				}
				got += sign + n.String() + "\n"
			}
		}
		if strings.Contains(got, "do-not-show-this") {
			t.Errorf("%s: a password is shown", name)
		}
		dir, err := os.Getwd()
		if err != nil {
			t.Fatal(err)
		}
		loads(t, got)
		got = strings.ReplaceAll(got, dir, "/cwd")
		golden := strings.TrimSuffix(name, ".conf") + ".toml"
		if *update {
			if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if got != string(want) {
			t.Errorf("%s becomes\n%s\nwant\n%s", name, got, want)
		}
	}
}

// loads reads a text of ours; only what is not on this machine may be wrong.
func loads(t *testing.T, text string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "loopmq.toml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	_, problems := config.Load(path, nil, nil)
	for _, p := range problems {
		if !strings.HasSuffix(p.What, "no such file or directory") {
			t.Errorf("%s\nin\n%s", p, text)
		}
	}
}

// TestOptionsAreKnown: all options of Mosquitto 2.0 and 2.1, by name.
func TestOptionsAreKnown(t *testing.T) {
	text, err := os.ReadFile("testdata/options.txt")
	if err != nil {
		t.Fatal(err)
	}
	names := strings.Fields(string(text))
	known := options()
	for _, name := range names {
		if strings.HasSuffix(name, "_opt_*") {
			continue
		}
		if _, ok := known[name]; !ok {
			t.Errorf("%s is not known", name)
		}
	}
	if len(names) < 141 {
		t.Errorf("only %d options", len(names))
	}
}

// TestManPage: whatever Debian's manual of mosquitto.conf describes is known.
func TestManPage(t *testing.T) {
	const example = "/usr/share/doc/mosquitto/examples/mosquitto.conf"
	text, err := os.ReadFile(example)
	if err != nil {
		t.Skip("Debian's example is left out of this system's documentation: ", err)
	}
	known, n := options(), 0
	for line := range bytes.Lines(text) {
		// Options stand there as #name value, prose as # words.
		name, _, _ := strings.Cut(strings.TrimSpace(strings.TrimPrefix(string(line), "#")), " ")
		if !strings.HasPrefix(string(line), "#") || strings.HasPrefix(string(line), "# ") || name == "" || strings.HasPrefix(name, "#") || strings.HasPrefix(name, "=") {
			continue
		}
		if _, ok := known[name]; !ok && !strings.HasPrefix(name, "auth_opt_") {
			t.Errorf("%s: %q is not known", example, name)
		}
		n++
	}
	if n < 80 {
		t.Errorf("only %d options in %s", n, example)
	}
	if r, err := Read(example); err != nil || len(r.Refused()) > 0 || len(r.Config.Listeners) > 0 {
		t.Errorf("%v, %+v", err, r)
	}
}
