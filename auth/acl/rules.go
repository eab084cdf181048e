package acl

import (
	"fmt"
	"slices"
	"sort"
	"strings"
)

// listsMax bounds the lists that are kept to be shared, also those of clients that
// are gone; beyond it sharing starts anew.
const listsMax = 1 << 12

// Rules are what one file says.
type Rules struct {
	file     string
	warnings []string

	// Lines of ours.
	sections []*section
	byUser   map[string][]*section // that name this user, or his role
	byClient map[string][]*section // that name this client identifier
	others   []*section

	roles  map[string]*role
	unused []string // roles that no section speaks of

	// Mosquitto's lines.
	anonymous mosquitto
	users     map[string]*mosquitto
	patterns  mosquitto

	lists map[string]*list
	made  uint64 // lists so far
	cache cache

	lastWho Who
	last    *Subject // for lastWho
}

func newRules(file string) *Rules {
	return &Rules{
		file:     file,
		byUser:   map[string][]*section{},
		byClient: map[string][]*section{},
		users:    map[string]*mosquitto{},
		lists:    map[string]*list{},
		roles:    map[string]*role{},
	}
}

// Warnings are lines that may not do what was meant, with file and line. elsewhere
// are roles that somebody else asks for, see Role.
func (r *Rules) Warnings(elsewhere ...string) []string {
	all := slices.Clone(r.warnings)
	for _, name := range r.unused {
		if !slices.Contains(elsewhere, name) {
			all = append(all, fmt.Sprintf("%s:%d: no section speaks of role %.80q", r.file, r.roles[name].line, name))
		}
	}
	return all
}

// Role says whether the file has a role of that name, and whether the user has
// it. Of nil Rules there is none.
func (r *Rules) Role(name, user string) (known, has bool) {
	if r == nil || r.roles[name] == nil {
		return false, false
	}
	return true, r.roles[name].members[user]
}

// index lets For find a client's sections without looking at all of them.
func (r *Rules) index() {
	for _, s := range r.sections {
		switch c := &s.conditions[0]; {
		case c.word == "user":
			r.byUser[c.name] = append(r.byUser[c.name], s)
		case c.word == "role":
			for user := range c.role.members {
				r.byUser[user] = append(r.byUser[user], s)
			}
		case c.word == "client" && !strings.ContainsAny(c.name, "*?"):
			r.byClient[c.name] = append(r.byClient[c.name], s)
		default:
			r.others = append(r.others, s)
		}
	}
}

// For compiles the rules for one client. It costs a few microseconds, so
// a connection asks once; asked twice in a row for the same client it costs
// nothing. Of nil Rules the Subject is nil.
func (r *Rules) For(who Who) *Subject {
	if r == nil {
		return nil
	}
	if r.last == nil || r.lastWho != who {
		r.last, r.lastWho = r.compile(who), who
	}
	return r.last
}

// compile puts the rules that speak of who in the order in which they decide:
// ours as they stand in the file; then, as Mosquitto has it, the user's denials,
// what he is allowed, the denials of patterns, what they allow.
func (r *Rules) compile(w Who) *Subject {
	who := &w
	var ours []placed
	for _, sections := range [][]*section{r.others, r.byClient[who.ClientID], r.named(who)} {
		for _, s := range sections {
			if s.holds(who) {
				ours = append(ours, s.rules...)
			}
		}
	}
	sort.Slice(ours, func(i, j int) bool { return ours[i].place < ours[j].place })
	all := make([]*Rule, 0, len(ours)+8)
	for _, p := range ours {
		all = append(all, p.Rule)
	}
	expand := len(all) // up to here %u and %c are filled in
	own := &r.anonymous
	if who.HasUser {
		own = r.users[who.User]
	}
	if own != nil {
		all = append(append(all, own.deny...), own.allow...)
	}
	literal := len(all) // from here on again
	s := &Subject{rules: r}
	switch wild := strings.ContainsAny(who.ClientID, "+#") || who.HasUser && strings.ContainsAny(who.User, "+#"); {
	case wild && len(r.patterns.deny)+len(r.patterns.allow) > 0:
		s.note = "the user name or client identifier holds + or #, so that no pattern is applied"
	case !wild:
		all = append(append(all, r.patterns.deny...), r.patterns.allow...)
	}
	for _, l := range []struct {
		to     **list
		action Action
	}{{&s.publish, Publish}, {&s.subscribe, Subscribe}, {&s.deliver, Deliver}} {
		b := listBuilder{who: who}
		for i, rule := range all {
			if rule.actions&l.action != 0 {
				b.add(rule, i < expand || i >= literal)
			}
		}
		*l.to = r.share(&b)
	}
	return s
}

func (r *Rules) named(who *Who) []*section {
	if !who.HasUser {
		return nil
	}
	return r.byUser[who.User]
}

// list is what decides about one action: the first entry that matches.
type list struct {
	entries []ruled
	salt    uint64 // sets lists apart in the cache; no two have one, nor 0
}

// ruled is a rule with its filter as it stands for one client.
type ruled struct {
	filter string
	lead   string // what each topic that it matches begins with
	rule   *Rule
}

// lead is the part of a filter before its wildcards, and before the / that the
// topic which # matches first does not have.
func lead(filter string) string {
	if i := strings.IndexAny(filter, "+#"); i >= 0 {
		filter = strings.TrimSuffix(filter[:i], "/")
	}
	return filter
}

// listBuilder gathers a list, and a key that is the same for the same list.
type listBuilder struct {
	who     *Who
	entries []ruled
	key     []byte
	filled  bool
}

func (b *listBuilder) add(r *Rule, expand bool) {
	filter := r.filter
	if expand {
		var ok bool
		if filter, ok = r.fill(b.who); !ok {
			return
		}
		b.filled = b.filled || filter != r.filter
	}
	b.entries = append(b.entries, ruled{filter, lead(filter), r})
	b.key = append(b.key, byte(r.Line), byte(r.Line>>8), byte(r.Line>>16), byte(r.Line>>24))
}

// share returns one list for all clients that have the same, so that what the
// cache knows of one of them holds for all. A list with a client's own name in
// it is his alone.
func (r *Rules) share(b *listBuilder) *list {
	// Multiples of an odd number spread over all bits of a hash.
	r.made++
	made := &list{b.entries, r.made * 0x9E3779B97F4A7C15}
	if b.filled {
		return made
	}
	if l := r.lists[string(b.key)]; l != nil {
		return l
	}
	if len(r.lists) >= listsMax {
		clear(r.lists)
	}
	r.lists[string(b.key)] = made
	return made
}
