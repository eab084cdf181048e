package scram_test

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"strings"
	"testing"

	xdg "github.com/xdg-go/scram"

	"github.com/loopmq/loopmq/auth/scram"
)

func newSCRAM(t *testing.T) *scram.Server {
	t.Helper()
	anna, err := scram.NewCredentials("secret", 0)
	if err != nil {
		t.Fatal(err)
	}
	s, err := scram.New(func(user string) (scram.Credentials, bool) { return anna, user == "anna" })
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// talk has a client of another implementation log in and returns how the
// server saw it.
func talk(t *testing.T, s *scram.Server, user, password string) (identity string, done bool, err error) {
	t.Helper()
	client, err := xdg.SHA256.NewClient(user, password, "")
	if err != nil {
		t.Fatal(err)
	}
	mine, theirs := client.NewConversation(), s.Start()
	answer := ""
	for range 3 {
		text, err := mine.Step(answer)
		if err != nil {
			t.Fatalf("client: %v", err)
		}
		if mine.Done() {
			break
		}
		out, ok, err := theirs.Step([]byte(text))
		if err != nil {
			return "", false, err
		}
		answer, done = string(out), ok
	}
	if !mine.Valid() {
		t.Error("the server did not show to the client that it knows the password")
	}
	return theirs.Identity(), done, nil
}

func TestSCRAM(t *testing.T) {
	s := newSCRAM(t)
	if who, done, err := talk(t, s, "anna", "secret"); who != "anna" || !done || err != nil {
		t.Errorf("right password: %q, done %v, %v", who, done, err)
	}
	for user, password := range map[string]string{"anna": "Secret", "berta": "secret"} {
		if _, done, err := talk(t, s, user, password); done || err == nil {
			t.Errorf("%s/%s: done %v, error %v; want a failure", user, password, done, err)
		}
	}
}

// TestSCRAMUnknownUser: the answer to the first message does not tell whether
// the user exists.
func TestSCRAMUnknownUser(t *testing.T) {
	s := newSCRAM(t)
	salt := func(user string) string {
		out, _, err := s.Start().Step([]byte("n,,n=" + user + ",r=abc"))
		if err != nil {
			t.Fatal(err)
		}
		parts := strings.Split(string(out), ",")
		if len(parts) != 3 || !strings.HasPrefix(parts[0], "r=abc") || parts[2] != "i=4096" {
			t.Fatalf("answer %q", out)
		}
		return parts[1]
	}
	first, again := salt("berta"), salt("berta")
	if first != again || first == salt("carla") || len(first) != len(salt("anna")) {
		t.Error("the salt of an unknown user gives it away")
	}
}

// TestSCRAMUnknownUserAmongOthers: nor do the iterations, where all have as many.
func TestSCRAMUnknownUserAmongOthers(t *testing.T) {
	usual := scram.Credentials{Iterations: 10_000}
	s, err := scram.New(func(string) (scram.Credentials, bool) { return usual, false })
	if err != nil {
		t.Fatal(err)
	}
	out, _, err := s.Start().Step([]byte("n,,n=berta,r=abc"))
	if err != nil || !strings.HasSuffix(string(out), ",i=10000") {
		t.Errorf("%s, %v", out, err)
	}
	if _, done, err := talk(t, s, "berta", ""); done || err == nil {
		t.Errorf("let in: %v, %v", done, err)
	}
}

func TestSCRAMBrokenMessages(t *testing.T) {
	s := newSCRAM(t)
	if out, done, err := s.Start().Step(nil); len(out) != 0 || done || err != nil {
		t.Errorf("no data yet: %q, %v, %v", out, done, err)
	}
	for _, first := range []string{"x", "p=tls-unique,,n=anna,r=abc", "n,,r=abc", "\x00\xff"} {
		if out, done, err := s.Start().Step([]byte(first)); err == nil {
			t.Errorf("%q: %q, %v; want an error", first, out, done)
		}
	}
	c := s.Start()
	if _, _, err := c.Step([]byte("n,,n=anna,r=abc")); err != nil {
		t.Fatal(err)
	}
	if _, done, err := c.Step([]byte("c=biws,r=wrong,p=AAAA")); err == nil || done {
		t.Errorf("wrong nonce: done %v, %v", done, err)
	}
	c = s.Start()
	if _, _, err := c.Step([]byte("n,,n=anna,r=abc")); err != nil {
		t.Fatal(err)
	}
	if _, done, err := c.Step(nil); err == nil || done {
		t.Errorf("nothing instead of a proof: done %v, %v", done, err)
	}
	if _, done, err := c.Step([]byte("again")); err == nil || done {
		t.Errorf("after the end: done %v, %v", done, err)
	}
}

// FuzzSCRAM: nobody gets in but with the proof that RFC 5802, section 3, has for what was said before it. NONCE and PROOF
// stand for what is only known then.
func FuzzSCRAM(f *testing.F) {
	for _, row := range [][2]string{
		{"n,,n=anna,r=abc", "c=biws,r=NONCE,p=PROOF"},
		{"n,a=berta,n=anna,r=abc", "c=bixhPWJlcnRhLA==,r=NONCE,p=PROOF"},
		{"n,,n=anna,r=abc", "c=biws,r=NONCE,p=AAAA"},
		{"n,,n=berta,r=abc", "c=biws,r=NONCE,p=PROOF"},
		{"y,,n=anna,r=abc", "c=eSws,r=NONCE,p=PROOF"},
		{"n,,n=an=2Cna,r=abc", "c=biws,r=abc,p=AAAA"},
	} {
		f.Add(row[0], row[1])
	}
	anna, err := scram.NewCredentials("secret", 0)
	if err != nil {
		f.Fatal(err)
	}
	salted, err := pbkdf2.Key(sha256.New, "secret", anna.Salt, anna.Iterations, sha256.Size)
	if err != nil {
		f.Fatal(err)
	}
	s, err := scram.New(func(user string) (scram.Credentials, bool) { return anna, user == "anna" })
	if err != nil {
		f.Fatal(err)
	}
	hash := func(key []byte, text string) []byte {
		h := hmac.New(sha256.New, key)
		h.Write([]byte(text))
		return h.Sum(nil)
	}
	f.Fuzz(func(t *testing.T, first, last string) {
		c := s.Start()
		asked, done, err := c.Step([]byte(first))
		if err != nil || done || len(asked) == 0 {
			if done {
				t.Fatalf("%q is enough", first)
			}
			return
		}
		nonce, _, _ := strings.Cut(strings.TrimPrefix(string(asked), "r="), ",")
		last = strings.ReplaceAll(last, "NONCE", nonce)
		bare, _, _ := strings.Cut(last, ",p=")
		parts := append(strings.SplitN(first, ",", 3), "", "")
		proof := hash(anna.StoredKey, parts[2]+","+string(asked)+","+bare)
		subtle.XORBytes(proof, proof, hash(salted, "Client Key"))
		right := base64.StdEncoding.EncodeToString(proof)
		last = strings.ReplaceAll(last, "PROOF", right)
		if _, done, _ = c.Step([]byte(last)); done && (c.Identity() != "anna" || !strings.HasPrefix(last, bare+",p="+right)) {
			t.Fatalf("%q, %q, %q let %q in", first, asked, last, c.Identity())
		} else if !done && first == "n,,n=anna,r=abc" && last == "c=biws,r="+nonce+",p="+right {
			t.Fatal("the right proof is refused")
		}
	})
}
