package acl_test

import (
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/loopmq/loopmq/auth/acl"
)

// user, and anonymous, are clients; at gives one an address.
func user(name, id string) acl.Who { return acl.Who{User: name, HasUser: true, ClientID: id} }

func anonymous(id string) acl.Who { return acl.Who{ClientID: id} }

func at(w acl.Who, addr string) acl.Who {
	w.Addr = netip.MustParseAddr(addr)
	return w
}

// ask is one question and the line that must answer it, negative where it
// denies; 0: no rule speaks of it.
type ask struct {
	who    acl.Who
	action string
	name   string
	want   int
}

func check(t *testing.T, r *acl.Rules, asks []ask) {
	t.Helper()
	for _, a := range asks {
		s := r.For(a.who)
		judge := map[string]func([]byte) acl.Verdict{
			"publish": s.Publish, "subscribe": s.Subscribe, "deliver": s.Deliver,
		}[a.action]
		for range 2 { // judged, and remembered
			v := judge([]byte(a.name))
			line := 0
			if v.Rule != nil {
				line = v.Rule.Line
			}
			if v.Allowed != (a.want > 0) || line != max(a.want, -a.want) {
				t.Errorf("%+v %s %q: %v; want line %d", a.who, a.action, a.name, v, a.want)
			}
		}
	}
}

func TestNoFileAndEmptyFile(t *testing.T) {
	var none *acl.Rules
	s := none.For(user("amy", "c"))
	for _, v := range []acl.Verdict{s.Publish([]byte("a")), s.Deliver([]byte("a")), s.Subscribe([]byte("#"))} {
		if s != nil || !v.Allowed || v.String() != "allowed: there are no rules" {
			t.Errorf("without a file: %v", v)
		}
	}
	for _, text := range []string{"", "\n\n", "# nothing\n", "\ufeff", "user amy\n", "everyone"} {
		check(t, parse(t, text), []ask{
			{user("amy", "c"), "publish", "a", 0},
			{user("amy", "c"), "deliver", "a", 0},
			{user("amy", "c"), "subscribe", "a", 0},
			{anonymous("c"), "subscribe", "#", 0},
			{anonymous("c"), "deliver", "$SYS/uptime", 0},
		})
	}
}

func TestSections(t *testing.T) {
	r := parse(t, `
role ops = amy, carol ann
role ops = dan
everyone
deny all secret/#
allow subscribe news/#

role ops
allow all ops/#
user carol ann
allow publish carol/+
client sensor-*
and not address 10.0.0.0/8
deny publish sensors/#
client sensor-?
allow publish sensors/%c/#
address 2001:db8::/32
allow deliver v6
anonymous
and client guest
allow subscribe lobby
user amy
and not client phone
and address 192.0.2.7
allow all #
everyone
and not anonymous
allow publish users/%u
`)
	check(t, r, []ask{
		{user("amy", "x"), "publish", "secret/a", -5},
		{user("amy", "x"), "subscribe", "secret/+/b", -5},
		{user("amy", "x"), "subscribe", "news", 6},
		{user("amy", "x"), "publish", "news", 0},
		{user("amy", "x"), "publish", "ops", 9},
		{user("carol ann", "x"), "deliver", "ops/a", 9},
		{user("dan", "x"), "deliver", "ops/a", 9},
		{user("carol", "x"), "deliver", "ops/a", 0},
		{anonymous("amy"), "deliver", "ops/a", 0},
		{user("carol ann", "x"), "publish", "carol/x", 11},
		{user("carol ann", "x"), "subscribe", "carol/x", 0},
		{at(anonymous("sensor-1"), "10.1.2.3"), "publish", "sensors/sensor-1/t", 16},
		{at(anonymous("sensor-1"), "::ffff:10.1.2.3"), "publish", "sensors/sensor-1/t", 16},
		{at(anonymous("sensor-1"), "10.1.2.3"), "publish", "sensors/sensor-2/t", 0},
		{at(anonymous("sensor-1"), "11.1.2.3"), "publish", "sensors/sensor-1/t", -14},
		{anonymous("sensor-1"), "publish", "sensors/sensor-1/t", -14},
		{at(anonymous("sensor-10"), "10.1.2.3"), "publish", "sensors/sensor-10/t", 0},
		{at(anonymous("x"), "2001:db8::1"), "deliver", "v6", 18},
		{at(anonymous("x"), "2001:db8::1"), "subscribe", "v6", 0},
		{at(anonymous("x"), "2001:db9::1"), "deliver", "v6", 0},
		{anonymous("guest"), "subscribe", "lobby", 21},
		{user("guest", "guest"), "subscribe", "lobby", 0},
		{at(user("amy", "pc"), "192.0.2.7"), "publish", "any/thing", 25},
		{at(user("amy", "pc"), "192.0.2.7"), "publish", "secret", -5},
		{at(user("amy", "phone"), "192.0.2.7"), "publish", "any/thing", 0},
		{at(user("amy", "pc"), "192.0.2.8"), "publish", "any/thing", 0},
		{user("amy", "x"), "publish", "users/amy", 28},
		{user("amy", "x"), "publish", "users/bob", 0},
		{anonymous("amy"), "publish", "users/amy", 0},
	})
}

// TestOursBeforeMosquittos: in a file of both, lines of ours decide first.
func TestOursBeforeMosquittos(t *testing.T) {
	check(t, parse(t, `topic anyone
pattern read p/%u
user amy
topic deny a/b
topic a/#
deny publish a/c
allow deliver a/b
everyone
deny all p/amy
`), []ask{
		{anonymous("c"), "publish", "anyone", 1},
		{user("amy", "c"), "publish", "anyone", 0},
		{user("amy", "c"), "publish", "a/b", -4},
		{user("amy", "c"), "deliver", "a/b", 7},
		{user("amy", "c"), "publish", "a/c", -6},
		{user("amy", "c"), "deliver", "a/c", 5},
		{user("amy", "c"), "deliver", "p/amy", -9},
		{user("bob", "c"), "deliver", "p/bob", 2},
	})
}

func TestSubscribe(t *testing.T) {
	r := parse(t, `user amy
topic deny a/secret/#
topic read a/#
topic write w/#
topic $SYS/broker/+
user bob
deny deliver a/quiet
deny subscribe a/b/+
allow deliver d
allow subscribe a/+/#
user eve
deny subscribe #
topic read #
user zoe
deny subscribe b
allow subscribe +
`)
	amy, bob, eve := user("amy", "c"), user("bob", "c"), user("eve", "c")
	check(t, r, []ask{
		{amy, "subscribe", "a/b", 3},
		{amy, "subscribe", "a", 3},
		{amy, "subscribe", "#", 3},
		{amy, "subscribe", "+", 3},
		{amy, "subscribe", "+/+/+", 3},
		{amy, "subscribe", "a/secret", -2},
		{amy, "subscribe", "a/secret/x/#", -2},
		{amy, "subscribe", "a/+/#", 3},
		{amy, "subscribe", "b/#", 0},
		{amy, "subscribe", "w/x", 0},
		{amy, "subscribe", "$SYS/#", 5},
		{amy, "subscribe", "$SYS/broker/x/y", 0},
		{amy, "subscribe", "$SYSTEM/#", 0},
		{amy, "subscribe", "$share/g/a/b", 3},
		{amy, "subscribe", "$share/g/a/secret/#", -2},
		{amy, "subscribe", "$share/g/b", 0},
		{amy, "subscribe", "$share/g/$SYS/#", 5},
		{amy, "subscribe", "$share/g/$share/h/a", 0},
		{amy, "subscribe", "$share/a/b", 0}, // the filter is b
		{amy, "subscribe", "$share/a/", 0},
		{amy, "subscribe", "$share//a", 0},
		{amy, "subscribe", "$share/a", 0},
		{amy, "subscribe", "$share", 0},
		{amy, "subscribe", "$share/+/a", 0},
		{amy, "subscribe", "a/#/b", 0},
		{amy, "subscribe", "", 0},
		{bob, "subscribe", "a/b/c", -8},
		{bob, "subscribe", "a/b/#", 10}, // a/b and a/b/c/d are left
		{bob, "subscribe", "a/quiet", 10},
		{bob, "deliver", "a/quiet", -7},
		{bob, "subscribe", "d", 0},
		{bob, "deliver", "d", 9},
		{bob, "subscribe", "a", 0},
		{eve, "subscribe", "#", -12},
		{eve, "subscribe", "x", -12},
		{eve, "deliver", "x", -12},
		{eve, "subscribe", "$SYS/#", 0},
		{user("zoe", "c"), "subscribe", "/#", 0}, // they would meet in the empty topic
		{user("zoe", "c"), "subscribe", "+/#", 16},
		{user("zoe", "c"), "subscribe", "b/#", -15},
	})
	deep := []byte(strings.Repeat("/", 65534) + "#")
	if v := r.For(bob).Subscribe(deep); v.Allowed {
		t.Errorf("%v", v)
	}
}

// TestWhatOthersFellFor: the holes of other brokers' access control.
func TestWhatOthersFellFor(t *testing.T) {
	r := parse(t, `pattern readwrite home/%u/#
pattern read dev-%c/x
pattern write %c/status
pattern read all/news
user amy
topic deny Secret/x
topic readwrite Secret/#
topic readwrite é
topic readwrite lit
topic readwrite tree/#
topic readwrite /lead
topic readwrite mid//end
user nb 
topic lit
user b
deny publish box/%c
allow publish box/#
`)
	amy := user("amy", "c")
	var asks []ask
	// A name made of wildcards opens nothing, nor does one with a level more.
	for _, name := range []string{"+", "#", "+/+", "a+", "a#b", "am/y", "/", "", "amy/..", "/amy"} {
		for _, topic := range []string{
			"home/amy/x", "home/am/y/x", "home//x", "home/+/x", "home/", "home//amy/x", "home/amy/../x",
		} {
			asks = append(asks, ask{user(name, "c"), "publish", topic, 0}, ask{user(name, "c"), "deliver", topic, 0})
		}
		asks = append(asks, ask{user("z", name), "deliver", "dev-am/y/x", 0}, ask{user("z", name), "deliver", "dev-a/x", 0},
			ask{user("z", name), "deliver", "dev-/x", 0}, ask{user("z", name), "publish", "amy/status", 0},
			ask{user("z", name), "publish", "am/y/status", 0})
	}
	asks = append(asks,
		// Without + and # in a name patterns without that name hold.
		ask{user("z", "a/b"), "deliver", "all/news", 4}, ask{user("a/b", "c"), "deliver", "all/news", 4},
		ask{user("z", "a+b"), "deliver", "all/news", 0}, ask{user("a#b", "c"), "deliver", "all/news", 0},
		// An absent user name is not an empty one, nor the text %u.
		ask{anonymous("c"), "publish", "home//x", 0}, ask{anonymous("c"), "publish", "home/%u/x", 0},
		ask{user("%u", "c"), "publish", "home/%u/x", 1}, ask{user("%c", "c"), "publish", "home/c/x", 0},
		ask{user("%c", "c"), "publish", "home/%c/x", 1},
		// $SYS is not to be had by a name.
		ask{user("z", "$SYS"), "publish", "$SYS/status", 0}, ask{user("z", "$x"), "deliver", "dev-$x/x", 2},
		// Case, look-alikes, composed and decomposed letters are different topics.
		ask{amy, "publish", "secret/y", 0}, ask{amy, "publish", "Secret/X", 7}, ask{amy, "publish", "Secret/x", -6},
		ask{amy, "publish", "é", 8}, ask{amy, "publish", "e\u0301", 0}, ask{user("Amy", "c"), "publish", "lit", 0},
		ask{user("amy ", "c"), "publish", "lit", 0}, ask{user("nb", "c"), "publish", "lit", 0}, ask{user("amy\x00", "c"), "publish", "lit", 0},
		// A filter without wildcards is one topic; tree/# is the tree and its root.
		ask{amy, "deliver", "lit", 9}, ask{amy, "deliver", "lit/below", 0}, ask{amy, "deliver", "lit/", 0},
		ask{amy, "deliver", "tree", 10}, ask{amy, "deliver", "tree/", 10}, ask{amy, "deliver", "trees", 0},
		// Empty levels count.
		ask{amy, "deliver", "/lead", 11}, ask{amy, "deliver", "lead", 0}, ask{amy, "deliver", "//lead", 0},
		ask{amy, "deliver", "mid//end", 12}, ask{amy, "deliver", "mid/end", 0}, ask{amy, "deliver", "mid/x/end", 0},
		ask{amy, "publish", "", 0},
		// A wildcard subscription and a shared one do not go around a denial.
		ask{amy, "subscribe", "Secret/#", 7}, ask{amy, "deliver", "Secret/x", -6},
		ask{amy, "subscribe", "$share/g/Secret/x", -6},
		// A denial holds for names that an allowance would not be filled with.
		ask{user("b", "a/b"), "publish", "box/a/b", -16}, ask{user("b", "a/b"), "publish", "box/a", 17},
		ask{user("b", ""), "publish", "box/", -16}, ask{user("b", "+"), "publish", "box/x", 17},
	)
	check(t, r, asks)
	if note := r.For(user("z", "a+b")).Note(); !strings.Contains(note, "+ or #") {
		t.Errorf("note %q", note)
	}
	if note := r.For(user("z", "a/b")).Note(); note != "" {
		t.Errorf("note %q", note)
	}
}

// TestListed: filters of a token stand for a file's.
func TestListed(t *testing.T) {
	r := parse(t, "topic everything/#\n")
	s, err := r.Listed("token of amy", []string{"a/%c", "out/+"}, []string{"in/#"})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		for name, want := range map[string]bool{"out/x": true, "a/%c": true, "a/c": false, "in/x": false, "everything/x": false} {
			if v := s.Publish([]byte(name)); v.Allowed != want {
				t.Errorf("publish %q: %v", name, v)
			}
		}
		if v := s.Deliver([]byte("in")); v.String() != "allowed by token of amy:1: subscribe in/#" {
			t.Errorf("deliver: %v", v)
		}
		if s.Deliver([]byte("out/x")).Allowed || s.Subscribe([]byte("out/#")).Allowed || !s.Subscribe([]byte("+/x")).Allowed {
			t.Error("SUBSCRIBE or a delivery is judged by the wrong list")
		}
	}
	none, err := r.Listed("token", nil, nil)
	if err != nil || none.Publish([]byte("a")).Allowed || none.Deliver([]byte("a")).Allowed || none.Subscribe([]byte("#")).Allowed {
		t.Errorf("empty lists allow something, %v", err)
	}
	_, err = r.Listed("token", []string{"a", "b#"}, []string{""})
	if err == nil || !strings.HasPrefix(err.Error(), `token: publish 2: filter "b#"`) || !strings.Contains(err.Error(), "\ntoken: subscribe 1: ") {
		t.Errorf("bad filters: %v", err)
	}
}

// TestRightsThatWereLost: what the same client may after a change of the file.
func TestRightsThatWereLost(t *testing.T) {
	before := parse(t, "user amy\ntopic a\n")
	after := parse(t, "user amy\ntopic read a\n")
	amy := user("amy", "c")
	s := before.For(amy)
	check(t, before, []ask{{amy, "publish", "a", 2}})
	check(t, after, []ask{{amy, "publish", "a", 0}, {amy, "deliver", "a", 2}})
	if before.For(amy) != s || after.For(amy) == s {
		t.Error("a subject belongs to its rules")
	}
	if !s.Publish([]byte("a")).Allowed {
		t.Error("the old subject has changed its mind")
	}
}

// TestRemembered fills the cache many times over, with many clients, and gets
// the same answers as without.
func TestRemembered(t *testing.T) {
	r := parse(t, "pattern readwrite %c/+\npattern deny +/7\neveryone\nallow publish all/#\n")
	subjects := map[string]*acl.Subject{}
	for i := range 200 {
		id := fmt.Sprint("c", i)
		subjects[id] = r.For(anonymous(id))
	}
	for round := range 3 {
		for i := range 200 {
			id := fmt.Sprint("c", i)
			for k := range 100 {
				name := fmt.Sprintf("c%d/%d", (i+k%3*round)%200, k)
				want := k%3*round%200 == 0 && k != 7
				if v := subjects[id].Publish([]byte(name)); v.Allowed != want {
					t.Fatalf("%s publish %q: %v", id, name, v)
				}
				if v := subjects[id].Deliver([]byte(name)); v.Allowed != want {
					t.Fatalf("%s deliver %q: %v", id, name, v)
				}
			}
			if long := strings.Repeat("x", 300); !subjects[id].Publish([]byte("all/"+long)).Allowed ||
				subjects[id].Publish([]byte("not/"+long)).Allowed || subjects[id].Deliver([]byte("all/"+long)).Allowed {
				t.Fatal("long topics are judged wrongly")
			}
		}
	}
}

func TestParseSaysWhatIsWrong(t *testing.T) {
	for _, row := range []struct{ line, want string }{
		{"tpoic read a", `"tpoic" is not known here; lines start with user, client`},
		{"Topic read a", `"Topic" is not known here`},
		{"topic", "topic without a filter"},
		{"pattern", "pattern without a filter"},
		{"topic raed a", `topic "raed": write read, write, readwrite or deny before a filter with spaces`},
		{"topic read a/#/b", `filter "a/#/b": # must fill the last level; write "a/#"`},
		{"topic a+", `filter "a+": + must fill its level`},
		{"topic \xff", "is not UTF-8"},
		{"topic a\x01b", "has a control character in it"},
		{"topic " + strings.Repeat("a", 70000), "line of 70006 bytes, more than 66000"},
		{"user", "user whom?"},
		{"client ", "client whom?"},
		{"everyone else", `everyone stands alone; remove "else"`},
		{"address 10.0.0.0/33", `address "10.0.0.0/33": write an address`},
		{"address ::ffff:10.0.0.0/104", "write an address"},
		{"address localhost", "or a network, as 192.0.2.0/24"},
		{"role = a", "role without a name"},
		{"role x = a,,b", `role "x": a user name is missing`},
		{"role nobody", `role "nobody" has no users; write role nobody = USER, USER`},
		{"and client x", "and narrows the section above it"},
		{"allow publish a", "allow for whom?"},
		{"everyone\nand client x\ntopic read a", "topic belongs at the start of the file or under a user"},
		{"client x\npattern read a", "pattern belongs at the start"},
		{"everyone\nallow a/#", `allow "a/#": write publish, subscribe, deliver or all`},
		{"everyone\nallow publish", "allow publish without a filter"},
		{"everyone\ndeny subscribe $share/g/a", "write the filter behind $share/NAME/"},
		{"everyone\ndeny publish a/#/b", "# must fill the last level"},
		{"everyone\nallow all a\nand client x", "and narrows the section above it, and stands before its rules"},
		{"everyone\nand", "is not known here"},
		{"everyone\nand not", "is not known here"},
	} {
		bad := 3 + strings.Count(row.line, "\n")
		r, err := acl.Parse("etc/acl", strings.NewReader("# rules\n\n"+row.line+"\n\nlast"))
		if r != nil || err == nil {
			t.Errorf("%.60q is taken", row.line)
			continue
		}
		lines := strings.Split(err.Error(), "\n")
		if len(lines) != 2 || !strings.HasPrefix(lines[0], fmt.Sprintf("etc/acl:%d: ", bad)) ||
			!strings.Contains(lines[0], row.want) || !strings.HasPrefix(lines[1], fmt.Sprintf("etc/acl:%d: ", bad+2)) {
			t.Errorf("%.60q: %v\nwant %s", row.line, err, row.want)
		}
	}
	_, err := acl.Parse("acl", strings.NewReader(strings.Repeat("x\n", 5000)))
	if strings.Count(err.Error(), "\n") != 100 || !strings.HasSuffix(err.Error(), "acl: and 4900 more") {
		t.Errorf("5000 bad lines: %v", err)
	}
}

func TestWarnings(t *testing.T) {
	r := parse(t, "topic deny\nuser amy\npattern read a/%u\ntopic read $share/g/a\nrole ops = amy\ntopic fine\n")
	got := r.Warnings()
	for i, want := range []string{
		`acl:1: topic deny without a filter opens the topic "deny"`,
		"acl:3: pattern speaks of all clients",
		"acl:4: no topic starts with $share/",
		`acl:5: no section speaks of role "ops"`,
	} {
		if i >= len(got) || !strings.HasPrefix(got[i], want) {
			t.Errorf("warning %d of %q; want %s", i, got, want)
		}
	}
}

// TestDocumentedFile takes the example of docs/acl.md at its word.
func TestDocumentedFile(t *testing.T) {
	doc, err := os.ReadFile("../../docs/acl.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(doc), "## The file\n")
	text, _, _ = strings.Cut(text, "\n| ")
	r := parse(t, text)
	if w := r.Warnings(); len(w) > 0 {
		t.Errorf("warnings %q", w)
	}
	for name, want := range map[string]bool{"plant/x": true, "secret/x": false, "news": false, "devices/c/x": true} {
		if v := r.For(at(user("dan", "c"), "192.168.1.2")).Publish([]byte(name)); v.Allowed != want {
			t.Errorf("dan publish %q: %v", name, v)
		}
	}
	if v := r.For(anonymous("c")).Deliver([]byte("lobby")); !v.Allowed {
		t.Errorf("lobby: %v", v)
	}
}

// FuzzACL: whatever stands in a file, reading does not panic; what is taken
// answers, the same again from the cache, and refuses a filter only where
// nothing it matches would be delivered.
func FuzzACL(f *testing.F) {
	f.Add("topic read a/#\nuser amy\ntopic deny a/b\npattern write %u/%c\n", "amy", "c", "a/b")
	f.Add("role r = a, b\nrole r\nand not client x*?\nallow all +/%c/#\ndeny subscribe #\n", "a", "xy", "a/xy")
	f.Add("everyone\nand address 10.0.0.0/8\nallow publish $SYS/%u\nanonymous\ndeny deliver /\n", "", "", "/")
	f.Add("user  carol ann \ntopic readwrite é b\nclient *\nallow deliver $share/x\n", "carol ann", "+", "é b")
	f.Add("topic deny b\ntopic read +\nuser a\nallow all /+\n", "a", "c", "/#")
	f.Add("pattern %c\npattern %u/#\npattern deny x%cy/+", "$a", "$b/c", "$b/c")
	f.Fuzz(func(t *testing.T, text, name, id, topic string) {
		r, err := acl.Parse("f", strings.NewReader(text))
		if (r == nil) != (err != nil) {
			t.Fatalf("%v, %v", r, err)
		}
		if r == nil {
			return
		}
		for _, who := range []acl.Who{user(name, id), anonymous(id), at(user(name, id), "10.0.0.1")} {
			s := r.For(who)
			for range 2 {
				if v := r.For(who).Publish([]byte(topic)); v != s.Publish([]byte(topic)) || v.Allowed && v.Rule == nil {
					t.Fatalf("publish %q: %v", topic, v)
				}
			}
			d := s.Deliver([]byte(topic))
			if d != r.For(who).Deliver([]byte(topic)) {
				t.Fatalf("deliver %q: %v", topic, d)
			}
			v := s.Subscribe([]byte(topic))
			// A deliver rule may give what no SUBSCRIBE may ask for.
			odd := strings.Contains(text, "deliver") || strings.ContainsAny(topic, "+#\x00") || strings.HasPrefix(topic, "$share/")
			if d.Allowed && !v.Allowed && !odd {
				t.Fatalf("%q is delivered by %v, its SUBSCRIBE is %v", topic, d, v)
			}
		}
	})
}
