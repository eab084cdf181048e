package acl_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/loopmq/loopmq/auth/acl"
)

// TestNoAllocation: what the hot path asks costs no memory.
func TestNoAllocation(t *testing.T) {
	r := parse(t, "pattern readwrite dev/%c/#\nuser amy\ntopic deny a/b\ntopic a/+\n")
	s := r.For(user("amy", "c1"))
	var topics [][]byte
	for i := range 20_000 {
		topics = append(topics, fmt.Appendf(nil, "a/%d", i))
	}
	same, long := topics[0], []byte("a/"+strings.Repeat("x", 1000))
	s.Publish(same)
	i := 0
	for name, f := range map[string]func() bool{
		"the same topic":  func() bool { return s.Publish(same).Allowed && s.Deliver(same).Allowed },
		"two in turn":     func() bool { i++; return s.Publish(topics[i&1]).Allowed },
		"ever new ones":   func() bool { i++; return s.Deliver(topics[i%len(topics)]).Allowed },
		"a long topic":    func() bool { return s.Publish(long).Allowed },
		"the same client": func() bool { return r.For(user("amy", "c1")) == s },
	} {
		ok := true
		if n := testing.AllocsPerRun(1000, func() { ok = ok && f() }); n != 0 || !ok {
			t.Errorf("%s: %v allocations, allowed %v", name, n, ok)
		}
	}
}

// benchRules has n rules for amy, of which the last matches.
func benchRules(b *testing.B, n int) *acl.Rules {
	b.Helper()
	var text strings.Builder
	text.WriteString("pattern read dev/%c/#\nuser amy\n")
	for i := range n - 1 {
		fmt.Fprintf(&text, "topic deny site/floor/room%d/#\n", i)
	}
	text.WriteString("topic site/floor/+/temperature\n")
	r, err := acl.Parse("acl", strings.NewReader(text.String()))
	if err != nil {
		b.Fatal(err)
	}
	return r
}

var sink acl.Verdict

func BenchmarkPublish(b *testing.B) {
	same := [][]byte{[]byte("site/floor/kitchen/temperature")}
	var warm, cold [][]byte
	for i := range 1000 {
		warm = append(warm, fmt.Appendf(nil, "site/floor/kitchen%d/temperature", i))
	}
	for i := range 100_000 {
		cold = append(cold, fmt.Appendf(nil, "site/floor/kitchen%d/temperature", i))
	}
	for _, rules := range []int{1, 10, 1000} {
		s := benchRules(b, rules).For(user("amy", "c1"))
		for _, row := range []struct {
			name   string
			topics [][]byte
		}{{"same", same}, {"thousand", warm}, {"new", cold}} {
			b.Run(fmt.Sprintf("rules=%d/%s", rules, row.name), func(b *testing.B) {
				b.ReportAllocs()
				i := 0
				for b.Loop() {
					if sink = s.Publish(row.topics[i]); !sink.Allowed {
						b.Fatal(sink)
					}
					if i++; i == len(row.topics) {
						i = 0
					}
				}
			})
		}
	}
	b.Run("nil", func(b *testing.B) {
		var none *acl.Subject
		for b.Loop() {
			sink = none.Publish(same[0])
		}
	})
}

// BenchmarkDeliver is one message to a thousand clients.
func BenchmarkDeliver(b *testing.B) {
	for name, text := range map[string]string{
		"shared": "pattern read news/+\n",
		"own":    "pattern read news/%c\npattern read news/+\n",
	} {
		r, err := acl.Parse("acl", strings.NewReader(text))
		if err != nil {
			b.Fatal(err)
		}
		var all []*acl.Subject
		for i := range 1000 {
			all = append(all, r.For(anonymous(fmt.Sprint("c", i))))
		}
		topics := [][]byte{[]byte("news/today"), []byte("news/tomorrow")}
		b.Run(name, func(b *testing.B) {
			i := 0
			for b.Loop() {
				sink = all[i%1000].Deliver(topics[i/1000&1])
				i++
			}
		})
	}
}

func BenchmarkFor(b *testing.B) {
	r := benchRules(b, 10)
	names := []string{"c1", "c2"}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		i++
		r.For(user("amy", names[i&1]))
	}
}
