package acl

import (
	"fmt"
	"net/netip"
	"strings"
)

// Action is what a client does, or what is done to it.
type Action uint8

// The actions. Subscribe is the SUBSCRIBE packet, Deliver each message sent to
// the client: at once, from a queue, or retained.
const (
	Publish Action = 1 << iota
	Subscribe
	Deliver
)

func (a Action) String() string {
	switch a {
	case Publish:
		return "publish"
	case Subscribe:
		return "subscribe"
	case Deliver:
		return "deliver"
	}
	return fmt.Sprintf("action %d", uint8(a))
}

// Rule is one line of a file.
type Rule struct {
	File string
	Line int
	Text string // as it stands there

	filter  string // %u and %c not yet filled in
	actions Action // a set
	allow   bool
}

// String is file, line and text.
func (r *Rule) String() string { return fmt.Sprintf("%s:%d: %s", r.File, r.Line, r.Text) }

// Who is a client.
type Who struct {
	User     string // counts only with HasUser: absent is not empty
	HasUser  bool
	ClientID string
	Addr     netip.Addr // zero for what has no address, such as a Unix socket
}

// condition is one of `user NAME`, `client GLOB`, `address CIDR`, `role NAME`,
// `anonymous`, `everyone`, perhaps with `not` before it.
type condition struct {
	_ [0]func() // not to be compared, which would be program

	word   string
	name   string
	prefix netip.Prefix
	role   *role
	not    bool
}

// role is a named set of users.
type role struct {
	line    int
	members map[string]bool
	used    bool
}

// holds says whether the condition speaks of who.
func (c *condition) holds(who *Who) bool {
	var is bool
	switch c.word {
	case "user":
		is = who.HasUser && who.User == c.name
	case "role":
		is = who.HasUser && c.role.members[who.User]
	case "anonymous":
		is = !who.HasUser
	case "client":
		is = globs(c.name, who.ClientID)
	case "address":
		is = who.Addr.IsValid() && c.prefix.Contains(who.Addr.Unmap().WithZone(""))
	case "everyone":
		is = true
	}
	return is != c.not
}

// section is some conditions, which must all hold, and the rules under them.
type section struct {
	conditions []condition
	rules      []placed
}

// placed is a rule of ours and where it stands among all of them.
type placed struct {
	*Rule
	place int
}

func (s *section) holds(who *Who) bool {
	for i := range s.conditions {
		if !s.conditions[i].holds(who) {
			return false
		}
	}
	return true
}

// mosquitto are rules of `topic` or `pattern` lines: all of deny are looked at
// before any of allow.
type mosquitto struct{ deny, allow []*Rule }

func (m *mosquitto) add(r *Rule) {
	if r.allow {
		m.allow = append(m.allow, r)
	} else {
		m.deny = append(m.deny, r)
	}
}

// fill puts the client's names in the place of %u and %c, each as it is. ok is
// false where the rule says nothing about this client.
//
// A name that could reach beyond one literal level fills no rule that allows: +
// and # are wildcards, / makes levels, an empty one is nobody's, and a $ in
// front opens $SYS. A deny rule is filled with all but + and #, which no topic
// holds.
func (r *Rule) fill(who *Who) (filter string, ok bool) {
	filter = r.filter
	for at := 0; ; {
		i := strings.IndexByte(filter[at:], '%')
		if at += i; i < 0 || at+1 == len(filter) {
			return filter, true
		}
		var name string
		switch filter[at+1] {
		case 'u':
			if !who.HasUser {
				return "", false
			}
			name = who.User
		case 'c':
			name = who.ClientID
		default:
			at++
			continue
		}
		reaches := name == "" || strings.Contains(name, "/") || at == 0 && name[0] == '$'
		if strings.ContainsAny(name, "+#") || reaches && r.allow {
			return "", false
		}
		filter = filter[:at] + name + filter[at+2:]
		at += len(name)
		if filter == "" {
			return "", false // matches nothing, and the matcher wants a first byte
		}
	}
}
