package broker

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"strings"

	"github.com/loopmq/loopmq/auth"
	"github.com/loopmq/loopmq/auth/acl"
	"github.com/loopmq/loopmq/auth/password"
	"github.com/loopmq/loopmq/router"
)

// userBook is who may log in. It is replaced whole by a reload.
type userBook struct {
	backends   []auth.Backend
	generation int
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
	case err != nil: // the password cannot be told from others: it is not right
		return auth.Answer{Decision: auth.Deny, Why: err.Error()}, nil
	case ok:
		return auth.Answer{Decision: auth.Allow}, nil
	case f.file.Kind(r.Username) == "":
		return auth.Answer{Decision: auth.Ignore}, nil
	}
	return auth.Answer{Decision: auth.Deny}, nil
}

// readUsers opens what Config says of users.
func (c *Config) readUsers() (backends []auth.Backend, err error) {
	if c.PasswordFile != "" {
		f, err := os.Open(c.PasswordFile)
		if err != nil {
			return nil, fmt.Errorf("password file: %w", err)
		}
		defer f.Close()
		parsed, err := password.Parse(c.PasswordFile, f)
		if err != nil {
			return nil, fmt.Errorf("password file: %w", err)
		}
		backends = append(backends, &passwordFile{path: c.PasswordFile, file: parsed})
	}
	if c.Tokens != nil {
		t, err := c.Tokens.open()
		if err != nil {
			return nil, err
		}
		backends = append(backends, t)
	}
	return append(backends, c.Backends...), nil
}

// readRules opens the access control file; nil: there is none.
func (c *Config) readRules() (*acl.Rules, error) {
	if c.ACLFile == "" {
		return nil, nil
	}
	f, err := os.Open(c.ACLFile)
	if err != nil {
		return nil, fmt.Errorf("access control file: %w", err)
	}
	defer f.Close()
	rules, err := acl.Parse(c.ACLFile, f)
	if err != nil {
		return nil, fmt.Errorf("access control file: %w", err)
	}
	return rules, nil
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
	case allowed != nil || c.PasswordFile != "" || c.Tokens != nil || len(c.Backends) > 0:
		return nobodyAnonymous
	}
	return localAnonymous
}

// Open tells whether clients on other machines need no password.
func (b *Broker) Open() bool {
	return b.cfg.anonymity(&Listener{}) == anyoneAnonymous
}

// WhoMayConnect says in words who is let in where a listener does not say
// otherwise.
func (b *Broker) WhoMayConnect() string {
	who := "nobody without a user name"
	switch b.cfg.anonymity(&Listener{}) {
	case localAnonymous:
		return "clients on this machine, without a password; for others see --password-file and --anonymous"
	case anyoneAnonymous:
		who = "everyone, without a password"
	}
	switch n := len(b.users.backends); {
	case b.cfg.PasswordFile != "" && n > 1:
		who += "; users of " + b.cfg.PasswordFile + " and of other backends"
	case b.cfg.PasswordFile != "":
		who += "; users of " + b.cfg.PasswordFile
	case n > 0:
		who += "; users of backends"
	}
	return who
}

// insecure lists what an operator should know of the files.
func (c *Config) insecure() (warnings []string) {
	if c.PasswordFile != "" {
		if why := password.Insecure(c.PasswordFile); why != "" {
			warnings = append(warnings, fmt.Sprintf("password file %s: %s", c.PasswordFile, why))
		}
	}
	return warnings
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

// replace puts other rules in force. Who has rules already follows by himself.
func (b *ruleBook) replace(rules *acl.Rules, r *router.Router) {
	had := b.rules != nil
	b.rules = rules
	b.generation++
	if had || rules == nil {
		return
	}
	r.Regrant(func(old *router.Identity, clientID string, from router.Peer) *router.Identity {
		user := ""
		if old != nil {
			user = old.User
		}
		if old != nil && old.Access != nil {
			return old // follows by itself
		}
		return b.identity(user, old != nil, clientID, from.Remote.Addr(), nil)
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
