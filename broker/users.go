package broker

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"

	"github.com/loopmq/loopmq/auth"
	"github.com/loopmq/loopmq/auth/acl"
	"github.com/loopmq/loopmq/auth/password"
	"github.com/loopmq/loopmq/router"
)

// userBook is who may log in at a listener.
type userBook struct {
	backends []auth.Backend
}

// passwordFile is the Backend of a password file.
type passwordFile struct {
	path string
	file *password.File
}

// Name implements auth.Backend.
func (f *passwordFile) Name() string { return "password file " + f.path }

// Check implements auth.Backend. The file speaks for all users: where there is
// another backend behind it, that one gets those whom the file does not know.
func (f *passwordFile) Check(_ context.Context, r *auth.Request) (auth.Answer, error) {
	ok, err := f.file.Verify(r.Username, r.Password)
	switch {
	case !f.knows(r.Username): // whatever hashes of others make of the password, as of a token
		return auth.Answer{Decision: auth.Ignore}, nil
	case err != nil: // the password cannot be told from others: it is not right
		return auth.Answer{Decision: auth.Deny, Why: err.Error()}, nil
	case ok:
		return auth.Answer{Decision: auth.Allow}, nil
	}
	return auth.Answer{Decision: auth.Deny}, nil
}

// knows tells whether the file has the user.
func (f *passwordFile) knows(user string) bool { return f.file.Kind(user) != "" }

// knows tells whether one of the password files has the user.
func (u *userBook) knows(user string) bool {
	return slices.ContainsFunc(u.backends, func(b auth.Backend) bool {
		f, ok := b.(*passwordFile)
		return ok && f.knows(user)
	})
}

// Ways are the ways for a client to show who it is, in the order in which they
// are asked where nothing else is said. "backends" are Config.Backends.
func Ways() []string { return []string{"certificate", "peer", "password", "jwt", "backends"} }

// sources reads the files that listeners name, each once.
type sources struct {
	cfg       *Config
	passwords map[string]*passwordFile
	tokens    *tokens
	rules     map[string]*acl.Rules
	warnings  []string
}

func newSources(cfg *Config) *sources {
	return &sources{cfg: cfg, passwords: make(map[string]*passwordFile), rules: make(map[string]*acl.Rules)}
}

// login makes what holds for a listener.
func (s *sources) login(b *Broker, l *Listener) (*login, error) {
	made := &login{
		broker: b, users: new(userBook), anonymous: s.cfg.anonymity(l), ownRules: l.ACLFile != "", ownGuests: l.Anonymous != nil,
	}
	ways := l.Ways
	if ways == nil {
		ways = s.cfg.Ways
	}
	if ways == nil {
		ways = Ways()
	}
	for _, way := range ways {
		if err := s.add(made, way, cmp.Or(l.PasswordFile, s.cfg.PasswordFile)); err != nil {
			return nil, err
		}
	}
	var err error
	made.rules, err = s.ruleBook(cmp.Or(l.ACLFile, s.cfg.ACLFile))
	return made, err
}

// add adds one way.
func (s *sources) add(l *login, way, passwords string) error {
	switch way {
	case "certificate":
		l.certificate = true
	case "peer":
		l.peer = true
	case "password":
		if passwords == "" {
			return nil
		}
		f, err := s.passwordFile(passwords)
		if err != nil {
			return err
		}
		l.users.backends = append(l.users.backends, f)
	case "jwt":
		if s.cfg.Tokens == nil {
			return nil
		}
		if s.tokens == nil {
			var err error
			if s.tokens, err = s.cfg.Tokens.open(); err != nil {
				return err
			}
		}
		l.users.backends = append(l.users.backends, s.tokens)
	case "backends":
		l.users.backends = append(l.users.backends, s.cfg.Backends...)
	default:
		return fmt.Errorf("way to log in %q: use %s", way, strings.Join(Ways(), ", "))
	}
	return nil
}

// passwordFile opens a password file.
func (s *sources) passwordFile(path string) (*passwordFile, error) {
	if f := s.passwords[path]; f != nil {
		return f, nil
	}
	in, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("password file: %w", err)
	}
	defer in.Close()
	parsed, err := password.Parse(path, in)
	if err != nil {
		return nil, fmt.Errorf("password file: %w", err)
	}
	s.passwords[path] = &passwordFile{path: path, file: parsed}
	return s.passwords[path], nil
}

// ruleBook makes a book of an access control file; "" is none. Each listener has
// its own, so that a reload may change the rules of one.
func (s *sources) ruleBook(path string) (*ruleBook, error) {
	book := &ruleBook{none: emptyRules()}
	if path == "" {
		return book, nil
	}
	if rules := s.rules[path]; rules != nil {
		book.rules = rules
		return book, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("access control file: %w", err)
	}
	defer f.Close()
	if book.rules, err = acl.Parse(path, f); err != nil {
		return nil, fmt.Errorf("access control file: %w", err)
	}
	s.rules[path] = book.rules
	s.warnings = append(s.warnings, book.rules.Warnings(s.cfg.roles()...)...)
	return book, nil
}

// anonymity is what holds for a listener.
func (c *Config) anonymity(l *Listener) anonymity {
	allowed := c.Anonymous
	if l.Anonymous != nil {
		allowed = l.Anonymous
	}
	switch {
	case allowed != nil && *allowed:
		return anyoneAnonymous
	case allowed != nil || c.PasswordFile != "" || l.PasswordFile != "" || c.Tokens != nil || len(c.Backends) > 0:
		return nobodyAnonymous
	}
	return localAnonymous
}

// Open tells whether clients on other machines need no password, where a
// listener does not say otherwise.
func (b *Broker) Open() bool {
	cfg, _ := b.inForce()
	return cfg.anonymity(&Listener{}) == anyoneAnonymous
}

// Passwords tells whether clients show who they are by passwords or tokens.
func (b *Broker) Passwords() bool {
	cfg, _ := b.inForce()
	return cfg.PasswordFile != "" || cfg.Tokens != nil || len(cfg.Backends) > 0
}

// WhoMayConnect says in words who is let in where a listener does not say
// otherwise.
func (b *Broker) WhoMayConnect() string {
	who := "nobody without a user name"
	cfg, _ := b.inForce()
	switch cfg.anonymity(&Listener{}) {
	case localAnonymous:
		return "clients on this machine, without a password; for others see --password-file and --anonymous"
	case anyoneAnonymous:
		who = "everyone, without a password"
	}
	if cfg.PasswordFile != "" {
		who += "; users of " + cfg.PasswordFile
	}
	if cfg.Tokens != nil {
		who += "; who has a token"
	}
	if len(cfg.Backends) > 0 {
		who += "; users of " + cfg.Backends[0].Name()
	}
	return who
}

// ruleBook is what the access control file says. It belongs to the loop.
type ruleBook struct {
	rules      *acl.Rules // nil: everything is allowed
	none       *acl.Rules // an empty file's
	generation int
}

// listed are rules that came with a client, in a token for instance.
type listed struct {
	name               string
	publish, subscribe []string
}

// emptyRules are those of an empty file.
func emptyRules() *acl.Rules {
	rules, err := acl.Parse("none", strings.NewReader(""))
	if err != nil {
		panic("an empty access control file is not taken: " + err.Error())
	}
	return rules
}

// identity makes the Identity of a client.
func (b *ruleBook) identity(user string, has bool, clientID string, addr netip.Addr, own *listed) *router.Identity {
	if b.rules == nil && own == nil {
		if !has {
			return nil
		}
		return &router.Identity{User: user}
	}
	who := acl.Who{User: user, HasUser: has, ClientID: clientID, Addr: addr}
	return &router.Identity{User: user, Access: &access{book: b, who: who, own: own, generation: -1}}
}

// follow takes the rules of another book. Who has rules already follows by
// himself; the others have to be given some.
func (b *ruleBook) follow(other *ruleBook) (needed bool) {
	needed = b.rules == nil && other.rules != nil
	b.rules = other.rules
	b.generation++
	return needed
}

// regrant gives rules to those who came when there were none. of finds the book
// of a listener; offline sessions have that of nil.
func regrant(r *router.Router, of func(*router.Listener) *ruleBook) {
	r.Regrant(func(old *router.Identity, clientID string, from router.Peer) *router.Identity {
		user := ""
		if old != nil {
			user = old.User
		}
		if old != nil && old.Access != nil {
			return old // follows by itself
		}
		return of(from.Listener).identity(user, old != nil, clientID, from.Remote.Addr(), nil)
	})
}

// access is what one client may do, by the rules in force when he is asked for.
type access struct {
	book       *ruleBook
	own        *listed // rules that came with the client; nil: those of the file
	who        acl.Who
	subject    *acl.Subject
	generation int
	saved      []byte // nil until it is written down
}

// current follows the rules.
//
// hot: a comparison.
func (a *access) current() *acl.Subject {
	if a.generation != a.book.generation {
		a.generation = a.book.generation
		a.subject = a.compile()
	}
	return a.subject
}

// compile makes the rules of this client.
func (a *access) compile() *acl.Subject {
	if a.own == nil {
		return a.book.rules.For(a.who)
	}
	rules := a.book.rules
	if rules == nil {
		rules = a.book.none
	}
	subject, err := rules.Listed(a.own.name, a.own.publish, a.own.subscribe)
	if err != nil { // cannot be: it was tried when the client came
		subject, _ = rules.Listed(a.own.name, nil, nil)
	}
	return subject
}

// MayPublish implements router.Access.
func (a *access) MayPublish(topic []byte) router.Ruling { return rulingOf(a.current().Publish(topic)) }

// MaySubscribe implements router.Access.
func (a *access) MaySubscribe(filter []byte) router.Ruling {
	return rulingOf(a.current().Subscribe(filter))
}

// MayReceive implements router.Access.
func (a *access) MayReceive(topic []byte) router.Ruling { return rulingOf(a.current().Deliver(topic)) }

func rulingOf(v acl.Verdict) router.Ruling {
	if v.Rule == nil {
		return router.Ruling{Denied: !v.Allowed}
	}
	return router.Ruling{Denied: !v.Allowed, Rule: v.Rule}
}
