package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestACLExplain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "acl")
	text := "topic read public/#\nuser carol ann\ntopic deny a/b\ntopic a/#\n" +
		"address 10.0.0.0/8\nallow publish lan/%c\nuser amy\npattern read p/%u\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		args   string // words, with ~ for a space in one
		status int
		out    string
	}{
		{"--user carol~ann publish a/c", 0, "allowed by " + path + ":4: topic a/#\n"},
		{"-u carol~ann publish a/b", 1, "denied by " + path + ":3: topic deny a/b\n"},
		{"-u carol~ann subscribe $share/g/a/b", 1, "denied by " + path + ":3: topic deny a/b\n"},
		{"-u carol~ann subscribe #", 0, "allowed by " + path + ":4: topic a/#\n"},
		{"deliver public/x", 0, "allowed by " + path + ":1: topic read public/#\n"},
		{"publish public/x", 1, "denied: no rule allows it\n"},
		{"-u  deliver public/x", 1, "denied: no rule allows it\n"},
		{"-i c --address 10.1.2.3 publish lan/c", 0, "allowed by " + path + ":6: allow publish lan/%c\n"},
		{"-i c publish lan/c", 1, "denied: no rule allows it\n"},
		{"-u amy -i a#b deliver p/amy", 1, "denied: no rule allows it\nnote: the user name or client identifier holds " +
			"+ or #, so that no pattern is applied\n"},
		{"-u amy -i a deliver p/amy", 0, "allowed by " + path + ":8: pattern read p/%u\n"},
	} {
		args := []string{loopmq, "acl", "explain", "--file", path}
		for word := range strings.SplitSeq(row.args, " ") {
			args = append(args, strings.ReplaceAll(word, "~", " "))
		}
		r := run(t, "", args...)
		warning := path + ":8: pattern speaks of all clients, also where it stands under a user (warning)\n"
		if r != (result{row.out, warning, row.status}) {
			t.Errorf("%s: %+v", row.args, r)
		}
	}
}

func TestACLSaysWhatIsWrong(t *testing.T) {
	path := filepath.Join(t.TempDir(), "acl")
	if err := os.WriteFile(path, []byte("topic read a\nuser\n\ntopic a#\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	broken := path + ":2: user whom? the line ends here\n" + path + `:4: filter "a#": # must fill`
	for _, row := range []struct {
		args   []string
		status int
		want   string
	}{
		{[]string{"check", path}, 1, broken},
		{[]string{"explain", "-f", path, "publish", "a"}, 2, broken},
		{[]string{"check"}, 2, "0 arguments where FILE belongs; see loopmq acl check --help"},
		{[]string{"check", path + "x"}, 1, "no such file"},
		{[]string{"explain", "publish", "a"}, 2, "--file: name the access control file"},
		{[]string{"explain", "-f", path, "publish"}, 2, "1 arguments where"},
		{[]string{"explain", "-f", path, "write", "a"}, 2, `"write": write publish, subscribe or deliver`},
		{[]string{"explain", "-f", path, "publish", "a/#"}, 2, "+ and # are for filters"},
		{[]string{"explain", "-f", path, "subscribe", "$share/g"}, 2, "must be followed by / and a filter"},
		{[]string{"explain", "-f", path, "subscribe", "a#"}, 2, "# must fill"},
		{[]string{"explain", "-f", path, "-a", "home", "publish", "a"}, 2, `--address "home"`},
	} {
		r := run(t, "", append([]string{loopmq, "acl"}, row.args...)...)
		if r.status != row.status || !strings.Contains(r.err, row.want) {
			t.Errorf("%q: %+v\nwant %s", row.args, r, row.want)
		}
	}
	if err := os.WriteFile(path, []byte("topic read a\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := run(t, "", loopmq, "acl", "check", path); r != (result{}) {
		t.Errorf("a good file: %+v", r)
	}
}
