package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/loopmq/loopmq/config"
)

// runConfig runs `loopmq config` in a directory and returns what it printed and
// its exit status.
func runConfig(t *testing.T, dir string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, errs bytes.Buffer
	cmd := exec.Command(loopmq, append([]string{"config"}, args...)...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &out, &errs
	cmd.Env = append(os.Environ(), "LOOPMQ_LIMITS__TOPIC_LEVELS_MAX=16")
	err := cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		code = exit.ExitCode()
	} else if err != nil {
		t.Fatal(err)
	}
	return out.String(), errs.String(), code
}

func TestConfigCommands(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"good.toml":   "sys_interval = '10s'\n[limits]\ninflight_max = 5\n[[listener]]\nurl = 'mqtt://:1883'\n",
		"other.toml":  "[limits]\ninflight_max = 6\n",
		"bad.toml":    "engin = 'epoll'\n[limits]\ninflight_max = 0\n",
		"open.toml":   "auth.jwt.secret = 'a secret of thirty-two bytes or so'\n",
		"limits.toml": "[[listener]]\nurl = 'mqtt://:0'\nlimits.inflight_max = 5\n",
		"acl.toml":    "auth.acl_file = 'acl'\n[[listener]]\nurl = 'mqtt://127.0.0.1:1'\n",
		"few.toml":    "auth.acl_file = 'few.acl'\n",
		"fewer.toml":  "auth.acl_file = 'fewer.acl'\n",
		"few.acl":     "user a\ntopic read plant/#\n",
		"fewer.acl":   "user a\ntopic read plant/#\ntopic deny plant/door\n",
		"acl":         "user a\ntopic raed b\ntopic read c/#/d\n",
		"m.conf":      "listener 1883\nallow_anonymous true\npid_file /run/x\n",
		"plug.conf":   "listener 1883\nauth_plugin /usr/lib/x.so\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(filepath.Join(dir, "open.toml"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		args           string
		code           int
		stdout, stderr string // what is in them; "" is nothing
	}{
		{"init", 0, "#inflight_max = 64\n", ""},
		{"init new.toml", 0, "", "wrote new.toml\n"},
		{"init new.toml", 1, "", "new.toml: file exists"},
		{"check new.toml", 0, "", ""},
		{"check good.toml", 0, "", ""},
		{"check bad.toml", 3, "", "bad.toml:1:1: engin: unknown key; did you mean engine?\nbad.toml:3:16: limits.inflight_max: 0 is out of bounds; write 1 to 65535\n"},
		{"check limits.toml", 0, "", ""},
		{"check open.toml", 0, "", "open.toml holds a secret and is open to everybody (mode 0644); type: chmod 640 "},
		{"check acl.toml", 3, "", "acl.toml: access control file: "},
		{"check nowhere.toml", 3, "", "nowhere.toml: cannot be read: no such file or directory\n"},
		{"check", 2, "", "0 arguments; want FILE"},
		{"show good.toml", 0, "[[listener]]\nurl = \"mqtt://:1883\"\n\n[limits]\ninflight_max = 5\ntopic_levels_max = 16\n", ""},
		{"show --defaults", 0, "\nsys_interval = \"10s\"\n", ""},
		{"show --origin good.toml", 0, "limits.inflight_max = 5          # good.toml:3\nlimits.topic_levels_max = 16     # environment variable LOOPMQ_LIMITS__TOPIC_LEVELS_MAX\n", ""},
		{"show --origin --defaults good.toml", 0, "# default\n", ""},
		{"show --json good.toml", 0, "    \"inflight_max\": 5,\n", ""},
		{"show bad.toml", 3, "", "unknown key"},
		{"explain limits.inflight_max", 0, "limits.inflight_max = 64\n    Reaching it:", ""},
		{"explain inflight_mx", 2, "", `no key "inflight_mx"; did you mean limits.inflight_max?`},
		{"explain", 0, "auth.bans.client_ids = []\n", ""},
		{"diff good.toml other.toml", 0, "limits.inflight_max: 5 -> 6 (live)\nlistener \"mqtt://:1883\": closed at \"mqtt://:1883\"\n", ""},
		{"diff few.toml fewer.toml", 0, "user \"a\": may no longer receive plant/door: denied by fewer.acl:3: topic deny plant/door\n", ""},
		{"diff good.toml bad.toml", 3, "", "unknown key"},
		{"import m.conf", 0, "#   m.conf:3: pid_file: left out: ", ""},
		{"import -o m.toml m.conf", 0, "", "wrote m.toml\n"},
		{"check m.toml", 0, "", ""},
		{"import plug.conf", 3, "", "plug.conf:2: auth_plugin: cannot be left out: "},
		{"import nowhere.conf", 1, "", "no such file"},
	} {
		stdout, stderr, code := runConfig(t, dir, strings.Fields(tc.args)...)
		if code != tc.code {
			t.Errorf("config %s: exit status %d, want %d", tc.args, code, tc.code)
		}
		for _, c := range []struct{ name, got, want string }{{"output", stdout, tc.stdout}, {"error output", stderr, tc.stderr}} {
			if !strings.Contains(c.got, c.want) || c.want == "" && c.got != "" {
				t.Errorf("config %s: %s %q, want %q in it", tc.args, c.name, c.got, c.want)
			}
		}
	}
	if text, err := os.ReadFile(filepath.Join(dir, "new.toml")); err != nil || string(text) != config.Example() {
		t.Errorf("config init wrote %q, %v", text, err)
	}
}

// TestConfigFlagsExist: the flags that the schema names are those of serve.
func TestConfigFlagsExist(t *testing.T) {
	serve := map[string]bool{}
	for _, f := range serveCommand().Flags {
		serve[f.Names()[0]] = true
	}
	named := map[string]bool{"port": true, "help": true, "config": true, "mosquitto-conf": true, "record": true, "record-redact": true, "record-bytes-max": true} // no settings, or short for one
	for _, k := range config.Keys() {
		if k.Flag != "" && !serve[k.Flag] {
			t.Errorf("%s: serve has no flag --%s", k.Path, k.Flag)
		}
		named[k.Flag] = true
	}
	for name := range serve {
		if !named[name] {
			t.Errorf("--%s has no key", name)
		}
	}
}
