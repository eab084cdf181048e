package broker_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/loopmq/loopmq/broker"
)

// TestFail2Ban: the filter that is shipped finds the address of who failed to log
// in, whatever names he chooses.
func TestFail2Ban(t *testing.T) {
	text, err := os.ReadFile("../packaging/fail2ban/loopmq.conf")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "failregex = ")
	line, _, _ := strings.Cut(rest, "\n")
	filter := regexp.MustCompile(strings.Replace(line, "<ADDR>", `([0-9a-fA-F:.]+)`, 1))

	rec, log := newRecords()
	b := start(t, broker.Config{Log: log, PasswordFile: mosquittoPasswd(t, "alice", "secret")})
	for i, name := range []string{
		"eve", `e addr=9.9.9.9:1 listener=x`, `" addr=9.9.9.9:1 `, `\" addr=9.9.9.9:1 `, "\nmsg=\"login failed\" addr=9.9.9.9:1 ",
	} {
		id := string(rune('a'+i)) + name
		refused(t, b, login(id, name, "guess"), 4)
		quote := `"`
		if i == 0 {
			quote = "" // nothing in it has to stand in quotes
		}
		found := ""
		if m := filter.FindStringSubmatch(rec.wait(t, `msg="login failed"`, "client="+quote+id[:1])); m != nil {
			found = m[1]
		}
		if found != "127.0.0.1" {
			t.Errorf("client and user %q: found %q", name, found)
		}
	}
	alice := dial(t, b, 0)
	expect(t, alice, login("good", "alice", "secret"), connack3)
	if l := rec.wait(t, "msg=connected", "client=good"); filter.MatchString(l) {
		t.Errorf("somebody who logged in is found in %s", l)
	}
}
