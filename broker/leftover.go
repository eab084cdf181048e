package broker

import "weak"

// leftover is what follows the settings when its listener is gone, as long as
// somebody has it: connections have the login, and sessions and messages the rules.
type leftover struct {
	login weak.Pointer[login]    // nil: it has a word of its own on anonymous clients
	rules weak.Pointer[ruleBook] // nil: they are its own
}

// leave is what is left of l.
func (l *login) leave() (left leftover) {
	if !l.ownGuests {
		left.login = weak.Make(l)
	}
	if !l.ownRules {
		left.rules = weak.Make(l.rules)
	}
	return left
}

// ended tells whether nobody has any of it.
func (l leftover) ended() bool { return l.login.Value() == nil && l.rules.Value() == nil }

// follow puts in force what holds where no listener says otherwise.
func (l leftover) follow(s *settings) (needed bool) {
	if g := l.login.Value(); g != nil {
		g.anonymous = s.cfg.anonymity(&Listener{})
	}
	book := l.rules.Value()
	return book != nil && book.follow(s.rules)
}
