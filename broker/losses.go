package broker

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/loopmq/loopmq/auth/acl"
)

// Losses says what clients may do with the settings of old and no longer with
// those of now, a line each: users whose name is gone, clients without a name
// that are no longer let in, and the topics that somebody may no longer publish
// to or receive, with the rule that says so. Looked at are the users that are
// named in password and access control files, at listeners that both have. What
// depends on a client identifier or an address is not, but for %c, which stands
// for itself. Neither Broker may run.
func Losses(old, now *Broker) (lines []string) {
	for _, d := range now.doors {
		i := slices.IndexFunc(old.doors, func(o *door) bool { return o.loop.Network == d.loop.Network && o.loop.Address == d.loop.Address })
		if i < 0 {
			continue
		}
		for _, line := range losses(old.doors[i].login, d.login) {
			if !slices.Contains(lines, line) { // listeners have mostly the same files
				lines = append(lines, line)
			}
		}
	}
	return lines
}

func losses(old, now *login) (lines []string) {
	users, still := old.users.names(), now.users.names()
	for _, name := range users {
		if !slices.Contains(still, name) {
			lines = append(lines, fmt.Sprintf("user %s: can no longer log in with a password, and is disconnected", strconv.Quote(name)))
		}
	}
	if old.anonymous > now.anonymous {
		who := "clients without a user name"
		if now.anonymous == localAnonymous {
			who += " from other machines"
		}
		lines = append(lines, who+": are no longer let in, and disconnected")
	}
	users = slices.Concat(users, old.rules.rules.Users(), now.rules.rules.Users())
	slices.Sort(users)
	for _, name := range slices.Compact(users) {
		if len(still) > 0 && !slices.Contains(still, name) {
			continue
		}
		lines = append(lines, lost("user "+strconv.Quote(name), old, now, acl.Who{User: name, HasUser: true, ClientID: "%c"})...)
	}
	if now.anonymous != nobodyAnonymous {
		lines = append(lines, lost("clients without a user name", old, now, acl.Who{ClientID: "%c"})...)
	}
	return lines
}

// lost is what one of them loses.
func lost(name string, old, now *login, who acl.Who) (lines []string) {
	for _, l := range acl.Lost(old.rules.rules, now.rules.rules, who) {
		by := "no rule allows it any more"
		if l.By != nil {
			by = "denied by " + l.By.String()
		}
		what := "publish to"
		if l.Action == acl.Subscribe {
			what = "receive"
		}
		lines = append(lines, fmt.Sprintf("%s: may no longer %s %s: %s", name, what, l.Filter, by))
	}
	return lines
}

// names are the users of password files.
func (u *userBook) names() (names []string) {
	for _, b := range u.backends {
		if f, ok := b.(*passwordFile); ok {
			names = append(names, f.file.Users()...)
		}
	}
	slices.Sort(names)
	return names
}
