package broker

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"net/netip"
	"time"

	"github.com/loopmq/loopmq/auth"
	"github.com/loopmq/loopmq/auth/guard"
	"github.com/loopmq/loopmq/codec"
	"github.com/loopmq/loopmq/router"
)

// login finds out who the clients of one listener are: it implements
// router.Authenticator. What needs time is done by the login pool.
type login struct {
	broker      *Broker
	users       *userBook
	rules       *ruleBook
	anonymous   anonymity
	ownRules    bool // not those of all listeners
	ownGuests   bool // the same of anonymous
	certificate bool // shows who a client is
	peer        bool // so does its process on this machine
}

// anonymity says who may come without a user name.
type anonymity int

const (
	nobodyAnonymous anonymity = iota
	localAnonymous            // from this machine
	anyoneAnonymous
)

// Texts of refusals, for the log.
const (
	whyNoUsers = "no users are set up, so that only clients on this machine may connect; either name a password file " +
		"(loopmq passwd FILE USER makes one, --password-file FILE uses it), or let everyone in with --anonymous"
	whyAnonymous = "no user name, and anonymous clients are not let in; see --anonymous"
	whyBusy      = "too many logins are being checked"
	whyGone      = "the listener was taken away by a reload meanwhile"
	whyWrong     = "wrong user name or password"
)

// Authenticate implements router.Authenticator.
func (l *login) Authenticate(cr *router.Credentials, done func(router.Verdict)) {
	if r := l.broker.recording; r != nil {
		done = r.Verdict(done)
	}
	l.judge(cr, done)
}

// judge looks at all that a client shows, and gives the password to the backends.
func (l *login) judge(cr *router.Credentials, done func(router.Verdict)) {
	b := l.broker
	if ban := b.banOf(&cr.Peer, cr.ClientID, claimed(cr)); ban != nil {
		done(router.Verdict{Reason: codec.Banned, Text: ban.String()})
		return
	}
	switch shown := cr.Peer.Identity; {
	case shown != nil: // by certificate, or by the system
		done(l.letIn(shown.User, true, cr))
	case cr.HasUsername && len(l.users.backends) > 0:
		l.check(cr, done)
	case l.admits(&cr.Peer):
		done(l.letIn("", false, cr)) // a name that nobody has checked is none
	case l.anonymous == localAnonymous:
		done(router.Verdict{Reason: codec.NotAuthorized, Text: whyNoUsers})
	default:
		done(router.Verdict{Reason: codec.NotAuthorized, Text: whyAnonymous})
	}
}

// admits tells whether a client may come without a name.
func (l *login) admits(from *router.Peer) bool {
	return l.anonymous == anyoneAnonymous || l.anonymous == localAnonymous && isLocal(from.Remote.Addr())
}

// isLocal tells whether a is on this machine; clients on a unix socket have no
// address.
func isLocal(a netip.Addr) bool { return !a.IsValid() || a.IsLoopback() }

// claimed is the user name that a client comes with, or that has been found.
func claimed(cr *router.Credentials) string {
	if cr.Peer.Identity != nil {
		return cr.Peer.Identity.User
	}
	return cr.Username
}

// banOf finds what keeps a client out; nil: nothing.
func (b *Broker) banOf(from *router.Peer, clientID, user string) *guard.Ban {
	now := time.Now().UnixNano()
	if ban := b.bans.FindAddress(now, from.Remote.Addr()); ban != nil {
		return ban
	}
	if ban := b.bans.FindName(now, guard.ClientID, clientID); ban != nil {
		return ban
	}
	if user == "" {
		return nil
	}
	return b.bans.FindName(now, guard.User, user)
}

// letIn is the verdict for a client that has shown who it is.
func (l *login) letIn(user string, has bool, cr *router.Credentials) router.Verdict {
	return router.Verdict{
		Identity: l.rules.identity(user, has, cr.ClientID, cr.Peer.Remote.Addr(), nil), Quota: l.quota(user, cr.ClientID, cr.Peer.Listener),
	}
}

// identify judges a user who has shown himself in an Exchange.
func (b *Broker) identify(user, clientID string, from router.Peer) router.Verdict {
	if ban := b.banOf(&from, clientID, user); ban != nil {
		return router.Verdict{Reason: codec.Banned, Text: ban.String()}
	}
	if l, ok := from.Listener.Authenticator.(*login); ok {
		return l.letIn(user, true, &router.Credentials{ClientID: clientID, Peer: from})
	}
	return router.Verdict{Identity: b.rules.identity(user, true, clientID, from.Remote.Addr(), nil)}
}

// check has the backends look at a user name and password.
func (l *login) check(cr *router.Credentials, done func(router.Verdict)) {
	b := l.broker
	key := b.logins.key(l.users, cr)
	if b.logins.knows(key) {
		done(l.letIn(cr.Username, true, cr))
		return
	}
	now := b.monotonic()
	begun := b.guard // a reload may bring another, which knows nothing of this attempt
	attempt, wait, ok := begun.Begin(now, cr.Peer.Remote.Addr(), cr.Username)
	if !ok {
		done(router.Verdict{
			Reason: codec.BadUserNameOrPassword,
			Text:   fmt.Sprintf("too many failed logins of this %s; not looked at for %s", wait.By, wait.Wait.Round(time.Second)),
		})
		return
	}
	job := &loginJob{
		backends: l.users.backends,
		request: auth.Request{
			ClientID: cr.ClientID, Username: cr.Username, HasUsername: cr.HasUsername, Password: cr.Password,
			Addr: cr.Peer.Remote.Addr(),
		},
	}
	if from := cr.Peer.Listener; from != nil {
		job.request.Listener = from.Name
	}
	generation := b.generation
	job.done = func() {
		if job.err != nil {
			begun.Abandon(&attempt)
		} else {
			begun.End(b.monotonic(), &attempt, job.answer.Decision == auth.Allow)
		}
		if job.answer.Decision == auth.Allow && generation != b.generation {
			l.again(cr, done)
			return
		}
		if job.answer.Decision == auth.Allow && job.remember {
			b.logins.learn(key)
		}
		done(l.verdict(cr, job))
	}
	if !b.logins.submit(job) {
		begun.Abandon(&attempt)
		b.logins.refused++
		done(router.Verdict{Reason: codec.ServerBusy, Text: whyBusy})
	}
}

// again judges by what holds now a client that has been let in by what held before
// a reload.
func (l *login) again(cr *router.Credentials, done func(router.Verdict)) {
	now, ok := cr.Peer.Listener.Authenticator.(*login)
	if !ok || now == l {
		done(router.Verdict{Reason: codec.ServerUnavailable, Text: whyGone})
		return
	}
	now.judge(cr, done)
}

// verdict turns a backend's answer into one for the router.
func (l *login) verdict(cr *router.Credentials, job *loginJob) router.Verdict {
	a := job.answer
	switch {
	case job.err != nil:
		return router.Verdict{Reason: codec.ServerUnavailable, Text: job.err.Error()}
	case a.Decision != auth.Allow:
		why := a.Why
		if why == "" {
			why = whyWrong
		}
		return router.Verdict{Reason: codec.BadUserNameOrPassword, Text: why}
	}
	user := a.User
	if user == "" {
		user = cr.Username
	}
	if ban := l.broker.banOf(&cr.Peer, cr.ClientID, user); ban != nil { // a token may tell another name than CONNECT
		return router.Verdict{Reason: codec.Banned, Text: ban.String()}
	}
	v := l.letIn(user, true, cr)
	if a.Limited {
		own := &listed{name: job.by, publish: a.Publish, subscribe: a.Subscribe}
		if _, err := l.rules.none.Listed(own.name, own.publish, own.subscribe); err != nil {
			return router.Verdict{Reason: codec.NotAuthorized, Text: err.Error()}
		}
		v.Identity = l.rules.identity(user, true, cr.ClientID, cr.Peer.Remote.Addr(), own)
	}
	v.Lifetime = a.Lifetime.Nanoseconds()
	return v
}

// loginJob is one login for the pool.
type loginJob struct {
	backends []auth.Backend
	request  auth.Request
	done     func() // on the loop

	answer   auth.Answer
	err      error
	by       string // the backend that answered
	remember bool   // a password was right: it need not be looked at again
}

// run asks the backends in turn. A worker's goroutine.
func (j *loginJob) run(ctx context.Context) {
	for _, b := range j.backends {
		j.answer, j.err = b.Check(ctx, &j.request)
		if j.err != nil {
			j.err = fmt.Errorf("%s: %w", b.Name(), j.err)
			return
		}
		if j.answer.Decision != auth.Ignore {
			_, j.remember = b.(*passwordFile)
			j.by = b.Name()
			return
		}
	}
}

// loginKey stands for a user name and password that were found right.
type loginKey [sha256.Size]byte

// key hashes what a client shows to a listener, with a secret of this process. Two
// listeners may have one name, and users of their own; where those are stands for
// them, for what is remembered is forgotten when they change.
func (p *loginPool) key(users *userBook, cr *router.Credentials) (k loginKey) {
	h := hmac.New(sha256.New, p.secret[:])
	fmt.Fprintf(h, "%p %q ", users, cr.Username)
	h.Write(cr.Password)
	h.Sum(k[:0])
	return k
}
