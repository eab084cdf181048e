package router_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/loopmq/loopmq/codec"
	"github.com/loopmq/loopmq/router"
)

// rules denies what is named, until a test changes its mind.
type rules struct{ publish, subscribe, receive string }

type text string

func (t text) String() string { return string(t) }

func ruling(denied string, name []byte) router.Ruling {
	if denied != "" && strings.HasPrefix(string(name), denied) {
		return router.Ruling{Denied: true, Rule: text("rules:1: " + denied)}
	}
	return router.Ruling{}
}

func (r *rules) MayPublish(t []byte) router.Ruling   { return ruling(r.publish, t) }
func (r *rules) MaySubscribe(f []byte) router.Ruling { return ruling(r.subscribe, f) }
func (r *rules) MayReceive(t []byte) router.Ruling   { return ruling(r.receive, t) }

// users lets clients in as their user name says, with the rules of that user.
type users map[string]*rules

func (u users) Authenticate(cr *router.Credentials, done func(router.Verdict)) {
	r, known := u[cr.Username]
	if !known {
		done(router.Verdict{Reason: codec.BadUserNameOrPassword, Text: "no such user"})
		return
	}
	id := &router.Identity{User: cr.Username}
	if r != nil {
		id.Access = r
	}
	done(router.Verdict{Identity: id})
}

// as connects a user with 3.1.1.
func (w *world) as(user, id string, clean bool) *fakeConn {
	w.t.Helper()
	c := w.dial()
	flags := "80"
	if clean {
		flags = "82"
	}
	c.send(frame5(w.t, "10", fmt.Sprintf("0004 'MQTT' 04 %s 0000 %04x '%s' %04x '%s'", flags, len(id), id, len(user), user)))
	return c
}

// as5 connects a user with 5.0.
func (w *world) as5(user, id string) *fakeConn {
	w.t.Helper()
	c := w.dial()
	c.send(frame5(w.t, "10", fmt.Sprintf("0004 'MQTT' 05 82 0000 00 %04x '%s' %04x '%s'", len(id), id, len(user), user)))
	c.expect(welcome)
	return c
}

func (w *world) lastEvent(kind router.EventKind) *router.Event {
	w.t.Helper()
	for i := len(w.events) - 1; i >= 0; i-- {
		if w.events[i].Kind == kind {
			return &w.events[i]
		}
	}
	w.t.Fatalf("no event of kind %d", kind)
	return nil
}

func TestPublishWithoutRight(t *testing.T) {
	w := newWorld(t, router.Limits{})
	w.listener.Authenticator = users{"u": {publish: "no"}, "all": nil}
	sub := w.as("all", "s", true)
	sub.expect("20 02 00 00")
	sub.send("82 06 0001 0001 '#' 00")
	sub.expect("90 03 0001 00")

	old := w.as("u", "old", true)
	old.expect("20 02 00 00")
	old.send("30 06 0002 'no' 'xx' 32 08 0002 'no' 0001 'xx' 34 08 0002 'no' 0002 'xx' 62 02 0002")
	old.expect("40 02 0001 50 02 0002 70 02 0002") // 3.x has no word for it
	old.send("30 06 0002 'ok' 'xx'")
	e := w.lastEvent(router.EventDeny)
	if e.ClientID != "old" || e.Peer.User() != "u" || e.Action != "publish" || e.Detail != "no" || e.Rule.String() != "rules:1: no" || e.Count != 3 {
		t.Errorf("event %+v", e)
	}
	c := w.as5("u", "new")
	c.send("30 07 0002 'no' 00 'xx' 32 09 0002 'no' 0001 00 'xx' 34 09 0002 'no' 0002 00 'xx'")
	c.expect("40 15 0001 87 11 1f 000e 'not authorized' 50 15 0002 87 11 1f 000e 'not authorized'")
	sub.expect("30 06 0002 'ok' 'xx'")
	if n := w.r.Stats().Denied; n != 6 {
		t.Errorf("%d denials counted, want 6", n)
	}
}

func TestDenyCloses(t *testing.T) {
	w := newWorldOf(t, router.Config{DenyCloses: true})
	w.listener.Authenticator = users{"u": {publish: "no"}}
	c := w.as("u", "c", true)
	c.expect("20 02 00 00")
	c.send("30 06 0002 'no' 'xx'")
	c.expect("")
	c.expectClosed()
}

func TestSubscribeWithoutRight(t *testing.T) {
	w := newWorld(t, router.Limits{})
	w.listener.Authenticator = users{"u": {subscribe: "no"}}
	old := w.as("u", "old", true)
	old.expect("20 02 00 00")
	old.send("82 0f 0001 0001 'a' 00 0002 'no' 01 0001 'b' 02")
	old.expect("90 05 0001 00 80 02")
	c := w.as5("u", "new")
	c.send("82 15 0001 00 0001 'a' 00 000b '$share/g/no' 00")
	c.expect("90 16 0001 11 1f 000e 'not authorized' 00 87") // the group's name lends nobody a right
}

// A filter that was granted delivers nothing that the client may not have, on
// whatever way it comes.
func TestNothingIsDeliveredWithoutRight(t *testing.T) {
	w := newWorld(t, router.Limits{})
	r := &rules{receive: "no"}
	w.listener.Authenticator = users{"u": r, "all": nil}
	p := w.as("all", "p", true)
	p.expect("20 02 00 00")
	p.send("31 06 0002 'no' '00' 31 06 0002 'ok' '00'") // retained
	c := w.as("u", "c", false)
	c.expect("20 02 00 00")
	c.send("82 0f 0001 0001 '#' 01 0002 'no' 01 0001 '+' 00")
	c.expect("90 05 0001 01 01 00 31 06 0002 'ok' '00' 31 06 0002 'ok' '00'") // # and +
	c5 := w.as5("u", "c5").sub5("#", "08", "0b 03")                           // Retain As Published, an identifier
	c5.take()
	g := w.as5("u", "g").sub5("$share/g/#", "00", "")
	p.send("30 06 0002 'no' '11' 32 08 0002 'no' 0001 '22'")
	p.expect("40 02 0001")
	c.expect("")
	c5.expect("")
	g.expect("")
	p.send("32 08 0002 'ok' 0002 '33'")
	p.expect("40 02 0002")
	c.expect("32 08 0002 'ok' 0001 '33'")
	c5.expect("30 09 0002 'ok' 02 0b03 '33'")
	g.expect("30 07 0002 'ok' 00 '33'")
	c.send("40 02 0001")

	// What was queued while the right was there is not delivered without it.
	r.receive = ""
	c.reset()
	p.send("32 08 0002 'no' 0003 '44' 32 08 0002 'ok' 0004 '55'")
	p.expect("40 02 0003 40 02 0004")
	r.receive = "no"
	c = w.as("u", "c", false)
	c.expect("20 02 01 00 32 08 0002 'ok' 0002 '55'")

	// Nor repeated.
	r.receive = "ok"
	c.reset()
	c = w.as("u", "c", false)
	c.expect("20 02 01 00")
	if n := w.r.Stats().Dropped[router.DropNoRight]; n != 2 {
		t.Errorf("%d drops counted, want 2", n)
	}
}

func TestWillWithoutRight(t *testing.T) {
	w := newWorld(t, router.Limits{})
	r := &rules{publish: "no"}
	w.listener.Authenticator = users{"u": r, "all": nil}
	s := w.as("all", "s", true)
	s.expect("20 02 00 00")
	s.send("82 06 0001 0001 '#' 00")
	s.expect("90 03 0001 00")
	withWill := func() *fakeConn {
		c := w.dial()
		c.send("10 19 0004 'MQTT' 04 86 0000 0001 'c' 0002 'no' 0003 'bye' 0001 'u'")
		c.expect("20 02 00 00")
		return c
	}
	withWill().reset()
	s.expect("")
	if e := w.lastEvent(router.EventDeny); e.Action != "will" || e.ClientID != "c" || e.Detail != "no" {
		t.Errorf("event %+v", e)
	}
	r.publish = ""
	withWill().reset()
	s.expect("30 07 0002 'no' 'bye'")
}

// A retained message goes with its writer's right to publish it.
func TestRetainedOfAWriterWithoutRight(t *testing.T) {
	w := newWorld(t, router.Limits{})
	r := &rules{}
	w.listener.Authenticator = users{"u": r, "all": nil}
	c := w.as("u", "c", true)
	c.expect("20 02 00 00")
	c.send("31 06 0002 'no' 'xx' 31 06 0002 'ok' 'xx'")
	c.reset()
	r.publish = "no"
	s := w.as("all", "s", true)
	s.expect("20 02 00 00")
	s.send("82 06 0001 0001 '#' 00")
	s.expect("90 03 0001 00 31 06 0002 'ok' 'xx'")
	r.publish = ""
	s.send("82 06 0001 0001 '#' 00")
	s.settled("90 03 0001 00", "31 06 0002 'no' 'xx'", "31 06 0002 'ok' 'xx'")
}

// settled checks the first packet, and that the others came in some order.
func (c *fakeConn) settled(first string, others ...string) {
	c.w.t.Helper()
	c.w.settle()
	got := string(c.take())
	rest, ok := strings.CutPrefix(got, string(bytesOf(c.w.t, first)))
	for _, o := range others {
		want := string(bytesOf(c.w.t, o))
		ok = ok && strings.Contains(rest, want)
		rest = strings.Replace(rest, want, "", 1)
	}
	if !ok || rest != "" {
		c.w.t.Fatalf("got % x", got)
	}
}

func TestRefusedLogin(t *testing.T) {
	w := newWorld(t, router.Limits{})
	w.listener.Authenticator = users{}
	c := w.as("u", "c", true)
	c.expect("20 02 00 04")
	c.expectClosed()
	e := w.lastEvent(router.EventAuth)
	if e.User != "u" || e.ClientID != "c" || e.Err.Error() != "no such user" {
		t.Errorf("event %+v", e)
	}
	c = w.dial()
	c.send("10 11 0004 'MQTT' 05 82 0000 00 0001 'c' 0001 'u'")
	c.expect("20 24 00 86 21 1f 001e 'user name or password is wrong'")
	c.expectClosed()
	if s := w.r.Stats(); s.AuthFailures != 2 || s.Sessions != 0 {
		t.Errorf("%d failures, %d sessions", s.AuthFailures, s.Sessions)
	}
}

// slow answers when a test says so.
type slow struct {
	asked []*router.Credentials
	done  []func(router.Verdict)
}

func (s *slow) Authenticate(cr *router.Credentials, done func(router.Verdict)) {
	s.asked = append(s.asked, cr)
	s.done = append(s.done, done)
}

func TestLoginThatTakesItsTime(t *testing.T) {
	w := newWorld(t, router.Limits{})
	a := &slow{}
	w.listener.Authenticator = a
	c := w.dial()
	// CONNECT with a will, user and password, and what follows without waiting.
	c.send("10 1d 0004 'MQTT' 04 c6 0000 0001 'c' 0001 'w' 0003 'bye' 0001 'u' 0003 'p' 00 'q'")
	c.feed(bytesOf(t, "82 06 0001 0001 '#' 00"))
	c.expect("")
	if cr := a.asked[0]; cr.ClientID != "c" || cr.Username != "u" || !cr.HasUsername || string(cr.Password) != "p\x00q" || cr.Peer.Listener != w.listener {
		t.Errorf("asked with %+v", cr)
	}
	w.pass(func() { a.done[0](router.Verdict{Identity: &router.Identity{User: "u"}}) })
	c.feed(nil) // the loop hands over what waited
	c.expect("20 02 00 00 90 03 0001 00")
	c.reset()

	gone := w.dial()
	gone.send("10 0d 0004 'MQTT' 04 02 0000 0001 'd'")
	gone.reset()
	w.pass(func() { a.done[1](router.Verdict{}) })
	late := w.dial()
	late.send("10 0d 0004 'MQTT' 04 02 0000 0001 'e'")
	w.sleep(11) // the deadline for CONNECT
	late.expectClosed()
	w.pass(func() { a.done[2](router.Verdict{}) })
	refused := w.dial()
	refused.send("10 0d 0004 'MQTT' 04 02 0000 0001 'f'")
	w.pass(func() { a.done[3](router.Verdict{Reason: codec.NotAuthorized}) })
	refused.expect("20 02 00 05")
	refused.expectClosed()
	if n := w.r.Stats().Sessions; n != 0 {
		t.Errorf("%d sessions left", n)
	}
}

func TestSessionBelongsToItsUser(t *testing.T) {
	w := newWorld(t, router.Limits{})
	w.listener.Authenticator = users{"alice": nil, "bob": nil}
	alice := w.as("alice", "c", false)
	alice.expect("20 02 00 00")
	bob := w.as("bob", "c", true)
	bob.expect("20 02 00 05")
	bob.expectClosed()
	alice.send("c0 00")
	alice.expect("d0 00") // not taken over
	if e := w.lastEvent(router.EventStranger); e.User != "alice" || e.ClientID != "c" {
		t.Errorf("event %+v", e)
	}
	alice.reset()
	w.as("bob", "c", true).expect("20 02 00 05") // nor while she is away
	w.as("alice", "c", false).expect("20 02 01 00")
}

func TestLoginExpires(t *testing.T) {
	w := newWorld(t, router.Limits{})
	a := &slow{}
	w.listener.Authenticator = a
	c := w.dial()
	c.send("10 0e 0004 'MQTT' 05 02 0000 00 0001 'c'")
	w.pass(func() { a.done[0](router.Verdict{Lifetime: 60e9}) })
	c.expect(welcome)
	w.sleep(59.9)
	c.expect("")
	w.sleep(0.2)
	c.expect("e0 2f 87 2d 1f 002a 'what the client logged in with has expired'")
	c.expectClosed()
}
