package password_test

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/loopmq/loopmq/auth/password"
	"github.com/loopmq/loopmq/internal/testkit"
)

// vectors are hashes that other programs made. The first two are of Argon2's
// own tests, bcrypt is of libxcrypt (perl's crypt), PBKDF2 of Python's hashlib,
// $7$ and $6$ of mosquitto_passwd 2.0.11.
var vectors = []struct {
	hash, password string
	kind           password.Kind
}{
	{"$argon2id$v=19$m=256,t=2,p=2$c29tZXNhbHQ$bQk8UB/VmZZF4Oo79iDXuL5/0ttZwg2f/5U52iv1cDc", "password", password.Argon2id},
	{"$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4", "password", password.Argon2id},
	{"$2b$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW", "secret", password.Bcrypt},
	{"$2a$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW", "secret", password.Bcrypt},
	{"$2y$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW", "secret", password.Bcrypt},
	{
		"PBKDF2$sha512$1000$c2FsdC1vZi1ob21l$/SadNV6OYf6JDGVL9FpwNcrIMTo7cm3zm2IJLNt4k3ODuu5Sh1TyaJQkJkIkFRJpHuaKx2vJJvjEHGzcYlvU1g==",
		"secret", password.PBKDF2SHA512,
	},
	{
		"$7$101$AH/BCoHJEwx5k1P3$XujfhyMPDTaSd7ksaWUcPeZ55aMOuCxFmnhKzrky8tqybk0MnN42S5Bl5x/hQMkacmGsW7rZK3e3KXuGRnrXfw==",
		"p", password.PBKDF2SHA512,
	},
	{
		"$6$G3aicoWp8NVSm4ge$T+ygk4CZZDF5EfVL3aVRaD1oDWqAlbxu2cX+n9NuQVd+IY8L6A4fDj9hD6na1jogbb+PP99xudzknRcPRgO9Yw==",
		"p", password.SHA512,
	},
}

func parse(t *testing.T, text string) *password.File {
	t.Helper()
	f, err := password.Parse("users", strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// verify fails the test unless the answer is want and there is no error.
func verify(t *testing.T, f *password.File, user, secret string, want bool) {
	t.Helper()
	if ok, err := f.Verify(user, []byte(secret)); ok != want || err != nil {
		t.Errorf("Verify(%q, %q) = %v, %v; want %v", user, secret, ok, err, want)
	}
}

func TestVectors(t *testing.T) {
	for _, v := range vectors {
		f := parse(t, "u:"+v.hash+"\n")
		if f.Kind("u") != v.kind {
			t.Errorf("%s: kind %q", v.hash, f.Kind("u"))
		}
		verify(t, f, "u", v.password, true)
		verify(t, f, "u", v.password+"x", false)
		verify(t, f, "u", v.password[1:], false)
		verify(t, f, "u", "", false)
		verify(t, f, "nobody", v.password, false)
		verify(t, f, "", v.password, false)
	}
}

// TestBytesThatCountForNothing: passwords that bcrypt or PBKDF2 take for the
// same are refused.
func TestBytesThatCountForNothing(t *testing.T) {
	for _, v := range vectors {
		f := parse(t, "u:"+v.hash)
		for _, more := range []string{"\x00", "\x00anything", "\x00" + v.password} {
			ok, err := f.Verify("u", []byte(v.password+more))
			if blind := v.kind == password.Bcrypt || v.kind == password.PBKDF2SHA512; ok || blind != (err != nil) {
				t.Errorf("%s: password with %q: %v, %v", v.hash, more, ok, err)
			}
		}
	}
	long := strings.Repeat("0123456789", 8)
	cheap := password.Params{Kind: password.Bcrypt, Cost: 4}
	text, err := password.Hash([]byte(long[:72]), cheap)
	if err != nil {
		t.Fatal(err)
	}
	if ok, err := parse(t, "u:"+text).Verify("u", []byte(long)); ok || err == nil {
		t.Errorf("80 bytes fit the hash of 72: %v, %v", ok, err)
	}
	if _, err := password.Hash([]byte(long), cheap); err == nil {
		t.Error("bcrypt hashes 80 bytes")
	}
	if _, err := password.Hash([]byte("a\x00b"), password.Params{Kind: password.PBKDF2SHA512, Iterations: 1}); err == nil {
		t.Error("PBKDF2 hashes a NUL")
	}
}

func TestHash(t *testing.T) {
	for kind, prefix := range map[password.Kind]string{
		password.Argon2id: "$argon2id$v=19$m=19456,t=2,p=1$", password.Bcrypt: "$2a$10$", password.PBKDF2SHA512: "$7$210000$",
	} {
		p, err := password.Defaults(kind)
		if err != nil {
			t.Fatal(err)
		}
		text, err := password.Hash([]byte("ünlikely:$"), p)
		if err != nil || !strings.HasPrefix(text, prefix) {
			t.Fatalf("%s: %q, %v", kind, text, err)
		}
		f := parse(t, "u:"+text)
		verify(t, f, "u", "ünlikely:$", true)
		verify(t, f, "u", "unlikely:$", false)
	}
	if _, err := password.Defaults("md5"); err == nil || !strings.Contains(err.Error(), `"md5" is not written; use argon2id`) {
		t.Errorf("md5: %v", err)
	}
	for _, p := range []password.Params{
		{},
		{Kind: password.SHA512},
		{Kind: password.Bcrypt, Cost: 3},
		{Kind: password.PBKDF2SHA512},
		{Kind: password.Argon2id, Memory: 1 << 30, Time: 1, Threads: 1},
	} {
		if _, err := password.Hash(nil, p); err == nil {
			t.Errorf("%+v makes a hash", p)
		}
	}
}

// TestMosquittoPasswd reads what mosquitto_passwd writes.
func TestMosquittoPasswd(t *testing.T) {
	tool := testkit.Program(t, "mosquitto_passwd")
	path := filepath.Join(t.TempDir(), "users")
	for i, args := range [][]string{
		{"-c", "-b", path, "alice", "wonder land"},
		{"-H", "sha512", "-b", path, "bob", "builder"},
		{"-H", "sha512-pbkdf2", "-b", path, "üser", "geheimß"},
	} {
		if out, err := exec.Command(tool, args...).CombinedOutput(); err != nil {
			t.Fatalf("%d: %v\n%s", i, err, out)
		}
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	f := parse(t, string(text))
	verify(t, f, "alice", "wonder land", true)
	verify(t, f, "bob", "builder", true)
	verify(t, f, "üser", "geheimß", true)
	verify(t, f, "bob", "wonder land", false)
	if want := []string{"alice", "bob", "üser"}; !slices.Equal(f.Users(), want) {
		t.Errorf("users %q, want %q", f.Users(), want)
	}
}

func TestParseSaysWhatIsWrong(t *testing.T) {
	key16, key64 := strings.Repeat("A", 22), strings.Repeat("A", 86)
	for _, row := range []struct{ line, want string }{
		{"bob", `no ':' behind user "bob"; write user:hash`},
		{"bob:", `user "bob" has no hash; set a password: loopmq passwd FILE bob`},
		{":$7$1$AA$" + key16, "a user name is missing"},
		{"bob:swordfish", "hash them: loopmq passwd -U FILE"},
		{"bob:$1$salt$hash", `hash "$1$salt$hash" is not known here`},
		{"bob:$5$salt$hash", "is not known here (argon2id, bcrypt"},
		{"bob:$2x$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW", "is not known here"},
		{"b\x01b:$7$1$AA$" + key16, `user name "b\x01b" has a control character`},
		{"b\xffb:$7$1$AA$" + key16, "is not UTF-8"},
		{"\ufeffbob:$7$1$AA$" + key16, "control character"},
		{strings.Repeat("b", 1025) + ":x", "a user name of 1025 bytes; 1024 at most"},
		{"bob:" + strings.Repeat("x", 5000), "line of 5004 bytes, more than 4096"},
		{"bob:$7$2000001$AA$" + key16, "2000001 iterations: 1 to 2000000; set the password again: loopmq passwd FILE bob"},
		{"bob:$7$99999999999999999999$AA$" + key16, "write a number"},
		{"bob:$7$0$AA$" + key16, "0 iterations"},
		{"bob:$7$-5$AA$" + key16, "-5 iterations"},
		{"bob:$7$1$AA", "write $7$ITERATIONS$SALT$HASH"},
		{"bob:$7$1$*$" + key16, "salt is not base64"},
		{"bob:$7$1$$" + key16, "salt of 0 bytes"},
		{"bob:$7$1$AA$AAAA", "hash of 3 bytes: 16 to 64"},
		{"bob:$7$1$AA$" + strings.Repeat("A", 200), "hash of 150 bytes: 16 to 64"},
		{"bob:$6$AA$" + key16, "hash of 16 bytes: 64 to 64"},
		{"bob:$6$AA", "write $6$SALT$HASH"},
		{"bob:PBKDF2$sha256$1$AA$" + key64, `PBKDF2 with "sha256" is not known; use sha512`},
		{"bob:$2b$15$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW", "bcrypt cost 15: 4 to 14"},
		{"bob:$2b$4$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW", `bcrypt cost "4"`},
		{"bob:$2b$04$abc", "bcrypt hash of 10 characters"},
		{"bob:$2b$04$abcdefghijklmnop!rstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW", "other characters"},
		{"bob:$argon2id$v=16$m=64,t=1,p=1$AAAAAAAAAAA$" + key16, `argon2id "v=16": only v=19`},
		{"bob:$argon2id$v=19$m=64,t=1$AAAAAAAAAAA$" + key16, "write m=KIB,t=PASSES,p=THREADS"},
		{"bob:$argon2id$v=19$m=64,p=1,t=1$AAAAAAAAAAA$" + key16, "write m=KIB,t=PASSES,p=THREADS"},
		{"bob:$argon2id$v=19$m=64,t=1,p=300$AAAAAAAAAAA$" + key16, "p=300: 1 to 16"},
		{"bob:$argon2id$v=19$m=64,t=1,p=0$AAAAAAAAAAA$" + key16, "p=0: 1 to 16"},
		{"bob:$argon2id$v=19$m=7,t=1,p=1$AAAAAAAAAAA$" + key16, "m=7: 8 to 262144 KiB"},
		{"bob:$argon2id$v=19$m=4294967295,t=1,p=1$AAAAAAAAAAA$" + key16, "m=4294967295: 8 to 262144 KiB"},
		{"bob:$argon2id$v=19$m=262144,t=5,p=1$AAAAAAAAAAA$" + key16, "their product at most 1048576"},
		{"bob:$argon2id$v=19$m=64,t=0,p=1$AAAAAAAAAAA$" + key16, "t=0"},
		{"bob:$argon2id$v=19$m=64,t=1,p=1$AAAA$" + key16, "argon2id salt of 3 bytes: at least 8"},
		{"bob:$argon2id$v=19$m=64,t=1,p=1$AAAAAAAAAAA", "write $argon2id$v=19$"},
		{"amy:$7$1$AA$" + key16, `user "amy" is in line 3 already`},
	} {
		text := "# users\n\namy:$7$1$AA$" + key16 + "\n" + row.line + "\nlast"
		f, err := password.Parse("etc/users", strings.NewReader(text))
		if f != nil || err == nil {
			t.Errorf("%.60q is taken", row.line)
			continue
		}
		lines := strings.Split(err.Error(), "\n")
		if len(lines) != 2 || !strings.HasPrefix(lines[0], "etc/users:4: ") || !strings.Contains(lines[0], row.want) ||
			!strings.HasPrefix(lines[1], "etc/users:5: ") {
			t.Errorf("%.60q: %v\nwant %s", row.line, err, row.want)
		}
	}
	if _, err := password.Parse("users", strings.NewReader(strings.Repeat("x\n", 5000))); strings.Count(err.Error(), "\n") != 100 {
		t.Errorf("5000 bad lines give %d", strings.Count(err.Error(), "\n"))
	}
}

// cheap is a hash that costs next to nothing.
func cheap(t *testing.T, secret string) string {
	t.Helper()
	text, err := password.Hash([]byte(secret), password.Params{Kind: password.PBKDF2SHA512, Iterations: 1})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// TestEditKeepsTheRest changes a file and looks at all that was not meant.
func TestEditKeepsTheRest(t *testing.T) {
	a, b, c := cheap(t, "a"), cheap(t, "b"), cheap(t, "c")
	text := "# first\r\n\n  amy : " + a + "\n#bob:x\nbroken line\nbob:" + b + "\n\ncat:$6$broken"
	f, err := password.Edit("users", strings.NewReader(text))
	if err == nil {
		verify(t, f, "cat", "c", false)
		err = errors.Join(f.Set("cat", c), f.Set("dan", c))
	}
	if err != nil {
		t.Fatal(err)
	}
	want := "# first\r\n\n  amy : " + a + "\n#bob:x\nbroken line\nbob:" + b + "\n\ncat:" + c + "\ndan:" + c + "\n"
	if string(f.Bytes()) != want {
		t.Errorf("file is\n%s\nwant\n%s", f.Bytes(), want)
	}
	if err := f.Bad(); err == nil || strings.Count(err.Error(), "\n") != 0 || !strings.HasPrefix(err.Error(), "users:5:") {
		t.Errorf("Bad: %v", err)
	}
	if f.Delete("eve") || f.Delete("") || !f.Delete("bob") {
		t.Error("Delete of eve, nobody or bob says the wrong thing")
	}
	want = strings.Replace(want, "bob:"+b+"\n", "", 1)
	if string(f.Bytes()) != want {
		t.Errorf("file is\n%s\nwant\n%s", f.Bytes(), want)
	}
	verify(t, f, "bob", "b", false)
	verify(t, f, "amy", "a", true)
	verify(t, f, "dan", "c", true)
	for _, user := range []string{"", "a:b", "#a", " a", "a\n", "a\x7f", "\xff", strings.Repeat("a", 1025)} {
		if f.Set(user, c) == nil {
			t.Errorf("user %.20q is taken", user)
		}
	}
	if f.Set("amy", "plain") == nil || f.Set("amy", a+"\n") == nil {
		t.Error("what is no hash is taken")
	}
}

func TestUpgrade(t *testing.T) {
	a := cheap(t, "a")
	f, err := password.Edit("users", strings.NewReader("# plain\namy:"+a+"\nbob:pass:word\ncat:$7$broken\ndan:$ecret\n"))
	if err != nil {
		t.Fatal(err)
	}
	if n, err := f.Upgrade(password.Params{Kind: password.PBKDF2SHA512, Iterations: 1}); n != 1 || err != nil {
		t.Fatalf("Upgrade: %d, %v", n, err)
	}
	verify(t, f, "amy", "a", true)
	verify(t, f, "bob", "pass:word", true)
	if err := f.Bad(); err == nil || strings.Count(err.Error(), "\n") != 1 {
		t.Errorf("Bad: %v", err)
	}
	if !strings.Contains(string(f.Bytes()), "# plain\n") {
		t.Error("the comment is lost")
	}
}

func TestWriteFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "users")
	f := parse(t, "amy:"+cheap(t, "a"))
	mode := func() fs.FileMode {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		return info.Mode().Perm()
	}
	if err := f.WriteFile(path); err != nil || mode() != 0o600 {
		t.Fatalf("new file: %v, mode %o", err, mode())
	}
	for perm, why := range map[fs.FileMode]string{
		0o600: "", 0o400: "", 0o640: "its group (mode 0640)", 0o644: "everybody (mode 0644)", 0o602: "everybody", 0o620: "its group",
	} {
		if err := os.Chmod(path, perm); err != nil {
			t.Fatal(err)
		}
		got := password.Insecure(path)
		if (got == "") != (why == "") || !strings.Contains(got, why) || why != "" && !strings.HasSuffix(got, "chmod 600 "+path) {
			t.Errorf("mode %o: %q", perm, got)
		}
	}
	if os.Geteuid() == 0 {
		if err := os.Chown(path, 1, 2); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.WriteFile(path); err != nil || mode() != 0o600 {
		t.Fatalf("old file: %v, mode %o", err, mode())
	}
	if os.Geteuid() == 0 {
		out, err := exec.Command("stat", "-c", "%u:%g", path).Output()
		if err != nil || string(out) != "1:2\n" {
			t.Errorf("owner is %s, %v; want that of the old file", out, err)
		}
	}
	text, err := os.ReadFile(path)
	if err != nil || string(text) != string(f.Bytes()) {
		t.Errorf("file holds %q, %v", text, err)
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	if err := f.WriteFile(link); err == nil {
		t.Error("a symbolic link is replaced")
	}
	if err := f.WriteFile(filepath.Join(dir, "no", "users")); err == nil {
		t.Error("a file is written where there is no directory")
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 2 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	if why := password.Insecure(filepath.Join(dir, "none")); why != "" {
		t.Errorf("no file: %q", why)
	}
}

// FuzzPasswordFile: whatever stands in a file, reading does not panic, editing
// keeps every line, and what Parse takes is taken again and changes nothing.
func FuzzPasswordFile(f *testing.F) {
	for _, v := range vectors {
		f.Add("# users\nu:" + v.hash + "\n\nv:" + v.hash)
	}
	for _, text := range []string{"", ":", "a", "a:", "a:b", "a:$", "a:$7$", "a:$2b$", "a:$argon2id$$$$", "a:PBKDF2", "\xff:\n\r\n"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		e, err := password.Edit("f", strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		want := text
		if text != "" && !strings.HasSuffix(text, "\n") {
			want += "\n"
		}
		if string(e.Bytes()) != want {
			t.Fatalf("%q became %q", text, e.Bytes())
		}
		if p, err := password.Parse("f", strings.NewReader(text)); (err == nil) != (e.Bad() == nil) || (p == nil) != (err != nil) {
			t.Fatalf("Parse: %v; Bad: %v", err, e.Bad())
		}
		const hash = "$6$AA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
		for i, user := range append(e.Users(), "new") {
			if err := e.Set(user, hash); err != nil || e.Kind(user) != password.SHA512 {
				t.Fatalf("%d: Set(%q): %v", i, user, err)
			}
			if !e.Delete(user) || e.Kind(user) != "" {
				t.Fatalf("%d: Delete(%q)", i, user)
			}
		}
	})
}
