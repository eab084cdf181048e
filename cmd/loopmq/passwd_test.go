package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/loopmq/loopmq/internal/testkit"
)

// TestPasswdForMosquitto makes a file that Debian's Mosquitto lets users in by.
func TestPasswdForMosquitto(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users")
	for i, r := range []result{
		run(t, "", loopmq, "passwd", "-c", "--hash", "pbkdf2-sha512", "-b", path, "amy", "s3cret"),
		run(t, "s3cret too\n", loopmq, "passwd", "-H", "sha512-pbkdf2", "--stdin", path, "böb"),
		run(t, "", loopmq, "passwd", "-H", "pbkdf2-sha512", "-b", path, "gone", "x"),
		run(t, "", loopmq, "passwd", "-D", path, "gone"),
	} {
		if r.status != 0 || r.out+r.err != "" {
			t.Fatalf("%d: %+v", i, r)
		}
	}
	port := startMosquitto(t, "allow_anonymous false\npassword_file "+path)
	for _, row := range []struct {
		user, secret string
		status       int
	}{
		{"amy", "s3cret", 0},
		{"böb", "s3cret too", 0},
		{"amy", "s3cret too", 5},
		{"gone", "x", 5},
	} {
		r := run(t, "", testkit.Program(t, "mosquitto_pub"), "-p", port, "-u", row.user, "-P", row.secret, "-t", "t", "-m", "m", "-q", "1")
		if r.status != row.status {
			t.Errorf("%s %q: %+v, want %d", row.user, row.secret, r, row.status)
		}
		want := min(row.status, 1)
		if r := run(t, row.secret, loopmq, "passwd", "--verify", "--stdin", path, row.user); r.status != want {
			t.Errorf("--verify %s %q: %+v, want %d", row.user, row.secret, r, want)
		}
	}
}

func TestPasswdEdits(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users")
	if err := os.WriteFile(path, []byte("# people\namy:pl$in\nbroken\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	r := run(t, "", loopmq, "passwd", "-U", path)
	if r.status != 0 || !strings.Contains(r.err, "1 passwords hashed\n") || !strings.Contains(r.err, path+":3: no ':' behind") ||
		!strings.Contains(r.err, "open to everybody (mode 0644)") {
		t.Errorf("-U: %+v", r)
	}
	if r := run(t, "pl$in\r\n", loopmq, "passwd", "--verify", "--stdin", path, "amy"); r.status != 0 {
		t.Errorf("--verify: %+v", r)
	}
	if r := run(t, "", loopmq, "passwd", "--hash", "bcrypt", "-b", path, "bob", "builder"); r.status != 0 {
		t.Errorf("bcrypt: %+v", r)
	}
	if r := run(t, "", loopmq, "passwd", "--verify", "-b", path, "bob", "builder"); r.status != 0 {
		t.Errorf("--verify -b: %+v", r)
	}
	if r := run(t, "", loopmq, "passwd", "--list", path); r.status != 0 || r.out != "amy\targon2id\nbob\tbcrypt\n" {
		t.Errorf("--list: %+v", r)
	}
	text, err := os.ReadFile(path)
	if err != nil || !strings.HasPrefix(string(text), "# people\namy:$argon2id$v=19$m=19456,t=2,p=1$") ||
		!strings.Contains(string(text), "\nbroken\nbob:$2a$10$") {
		t.Errorf("file: %v\n%s", err, text)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

func TestPasswdSaysWhatIsWrong(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users")
	if r := run(t, "", loopmq, "passwd", "-c", "-b", path, "amy", "x"); r.status != 0 {
		t.Fatalf("%+v", r)
	}
	for _, row := range []struct {
		args, stdin string
		status      int
		want        string
	}{
		{"", "", 2, "0 arguments where FILE USER belong"},
		{path, "", 2, "1 arguments where FILE USER belong"},
		{"-b " + path + " amy", "", 2, "2 arguments where FILE USER PASSWORD belong"},
		{path + " amy --stdin", "", 2, "flags go first"},
		{"-U " + path + " amy", "", 2, "2 arguments where FILE belong"},
		{"-D -U " + path, "", 2, "only one of"},
		{"-c -D " + path + " amy", "", 2, "--create and --delete together"},
		{"-b -D " + path + " amy x", "", 2, "--delete takes no password"},
		{"-b --stdin " + path + " amy x", "", 2, "--batch and --stdin together"},
		{"--hash md5 -b " + path + " amy x", "", 2, `"md5" is not written; use argon2id, bcrypt or pbkdf2-sha512`},
		{"-H sha512 -b " + path + " amy x", "", 2, `"sha512" is not written`},
		{"-b " + path + " a:b x", "", 2, "has a ':' in it"},
		{path + " amy", "x\n", 1, "no terminal to ask on; add --stdin"},
		{"--stdin " + path + " amy", "", 1, "the password is empty"},
		{"--stdin " + path + " amy", strings.Repeat("x", 65536), 1, "longer than 65535 bytes"},
		{"--hash bcrypt --stdin " + path + " amy", strings.Repeat("x", 73), 1, "bcrypt sees only 72 bytes"},
		{"-b " + path + ".none amy x", "", 1, "no such file or directory; add -c to make it"},
		{"-c -b " + path + "/below amy x", "", 1, "not a directory"},
		{"-D " + path + " bob", "", 1, `user "bob" is not in`},
		{"--verify -b " + path + " amy y", "", 1, `user "amy" does not have this password`},
		{"--verify -b " + path + " bob x", "", 1, `user "bob" does not have this password, or is not in`},
	} {
		r := run(t, row.stdin, append([]string{loopmq, "passwd"}, strings.Fields(row.args)...)...)
		if r.status != row.status || !strings.Contains(r.err, row.want) {
			t.Errorf("passwd %s: %+v\nwant %d, %s", row.args, r, row.status, row.want)
		}
	}
	if r := run(t, "", loopmq, "passwd", "--verify", "-b", path, "amy", "x"); r.status != 0 {
		t.Errorf("what failed changed the file: %+v", r)
	}
}
