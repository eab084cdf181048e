package record_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/loopmq/loopmq/broker/record"
	"github.com/loopmq/loopmq/codec"
	"github.com/loopmq/loopmq/internal/buf"
	"github.com/loopmq/loopmq/internal/testkit"
	"github.com/loopmq/loopmq/router"
)

// world is a router under recording, a clock of its own and connections in memory.
type world struct {
	t    *testing.T
	file memory
	rec  *record.Recorder
	r    *router.Router
	now  int64
	seed uint64
	tap  map[*conn]*record.Tap
	sent []string // all that the router sent, in order
	end  error    // why the recording ended by itself
}

func newWorld(t *testing.T, o record.Options, rc router.Config) *world {
	w := &world{t: t, now: 7e9, tap: map[*conn]*record.Tap{}}
	rc.Rand = func() uint64 { w.seed += 0x9e3779b97f4a7c15; return w.seed }
	o.Started = time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC)
	o.Ended = func(why error) { w.end = why }
	w.rec = record.New(&w.file, &rc, o)
	w.r = router.New(rc)
	w.rec.Start(w.r)
	return w
}

// memory is a file.
type memory struct{ b []byte }

func (m *memory) WriteAt(b []byte, at int64) (int, error) {
	if end := int(at) + len(b); end > len(m.b) {
		m.b = append(m.b, make([]byte, end-len(m.b))...)
	}
	return copy(m.b[at:], b), nil
}

func (m *memory) Bytes() []byte { return m.b }

// pass runs f as one pass of a loop, a tenth of a second after the one before.
func (w *world) pass(f func()) {
	w.now += 1e8
	w.r.BeginPass(w.now)
	w.rec.BeginPass(w.now)
	f()
	w.rec.EndPass(w.r.EndPass())
}

func (w *world) dial(l *router.Listener) *conn {
	c := &conn{w: w, n: len(w.tap) + 1}
	w.pass(func() { w.tap[c] = w.rec.Attach(w.r, c, router.Peer{Listener: l}) })
	return c
}

// replayed has the recording happen again and returns what the router sent then.
func (w *world) replayed() (sent []string, rep *record.Report) {
	w.t.Helper()
	if err := w.rec.Close(); err != nil {
		w.t.Fatal(err)
	}
	return replay(w.t, w.file.Bytes())
}

func replay(t *testing.T, file []byte) (sent []string, rep *record.Report) {
	t.Helper()
	rep, err := record.Replay(bytes.NewReader(file), record.ReplayOptions{
		Sent:  func(_ time.Duration, conn uint64, b []byte) { sent = append(sent, fmt.Sprintf("%d< %x", conn, b)) },
		Check: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	return sent, rep
}

// conn is a connection in memory.
type conn struct {
	w     *world
	n     int
	limit int // bytes taken until drain; 0: any
	taken int

	five    bool   // it speaks 5.0
	refused uint64 // sends
	closing error  // why the router closes it
}

func (c *conn) put(parts ...[]byte) bool {
	all := bytes.Join(parts, nil)
	if c.limit > 0 && c.taken+len(all) > c.limit {
		c.refused++
		return false
	}
	c.taken += len(all)
	c.w.sent = append(c.w.sent, fmt.Sprintf("%d< %x", c.n, all))
	return true
}

func (c *conn) ID() uint64                              { return uint64(c.n) }
func (c *conn) Send(f []byte) bool                      { return c.put(f) }
func (c *conn) SendView(f []byte) bool                  { return c.put(f) }
func (c *conn) SendControl(f []byte) bool               { return c.put(f) }
func (c *conn) SendShared(head []byte, b *buf.Ref) bool { return c.put(head, b.Bytes()) }
func (c *conn) Queued() int                             { return c.taken }
func (c *conn) Taken() uint64                           { return uint64(c.taken) }
func (c *conn) Pause()                                  {}
func (c *conn) Resume()                                 {}
func (c *conn) Close(why error)                         { c.closing = why }

// send hands over hex and 'text' in a pass of its own.
func (c *conn) send(s string) {
	c.w.t.Helper()
	c.w.pass(func() { _, _ = c.w.tap[c].Data(testkit.Bytes(s)) })
}

func (c *conn) drain() {
	c.taken = 0
	c.w.pass(c.w.tap[c].Drained)
}

func (c *conn) close(why error) { c.w.pass(func() { c.w.tap[c].Closed(why) }) }

const (
	connectA  = "10 0d 0004 'MQTT' 04 02 003c 0001 'a'"
	connectB5 = "10 0d 0004 'MQTT' 05 02 003c 00 0000" // without an identifier: the broker makes one
)

// A session with everything that comes from outside of the router gives the same bytes again.
func TestReplaySendsTheSameBytes(t *testing.T) {
	w := newWorld(t, record.Options{}, router.Config{})
	l := &router.Listener{Name: "mqtt", Versions: []byte{4, 5}}
	a, b := w.dial(l), w.dial(l)
	a.send(connectA)
	b.send(connectB5)
	a.send("82 06 0001 0001 't' 01")
	a.send("30 05 0001 't' 'x")           // not whole: comes again
	a.send("30 05 0001 't' 'xy' 30 05")   // whole, and the beginning of another
	a.send("30 05 0001 't' 'zz' c0 00")   // with what was left
	b.send("32 08 0001 't' 0001 00 'hi'") // and its acknowledgement
	a.send("40 02 0001")
	a.limit = a.taken + 6
	b.send("30 06 0001 't' 00 '12' 30 06 0001 't' 00 '34'") // of which one is refused
	a.drain()
	b.send("36 00") // QoS 3
	b.close(errors.New("QoS 3"))
	a.send("e0 00")
	a.close(io.EOF)
	sent, rep := w.replayed()
	if len(w.sent) < 8 || strings.Join(sent, "\n") != strings.Join(w.sent, "\n") {
		t.Errorf("then\n%s\nnow\n%s", strings.Join(w.sent, "\n"), strings.Join(sent, "\n"))
	}
	if len(rep.Differs) > 0 || rep.Conns != 2 || rep.Ended != "the broker has stopped" || rep.Span != 1500*time.Millisecond {
		t.Errorf("report %+v", rep)
	}
	if want := "1< 20020000"; sent[0] != want {
		t.Errorf("first %s, want %s", sent[0], want)
	}
}

// guarded lets nobody publish to secret.
type guarded struct{}

func (guarded) MayPublish(topic []byte) router.Ruling {
	return router.Ruling{Denied: string(topic) == "secret"}
}
func (guarded) MaySubscribe([]byte) router.Ruling { return router.Ruling{} }
func (guarded) MayReceive([]byte) router.Ruling   { return router.Ruling{} }

// teller is an Authenticator that answers at once or later.
type teller struct {
	w     *world
	later []func()
}

func (a *teller) Authenticate(cr *router.Credentials, done func(router.Verdict)) {
	done = a.w.rec.Verdict(done)
	v := router.Verdict{Identity: &router.Identity{User: cr.Username, Access: guarded{}}, Quota: router.Quota{Subscriptions: 1}}
	if string(cr.Password) != "geh8" {
		v = router.Verdict{Reason: codec.BadUserNameOrPassword, Text: "wrong"}
	}
	if cr.Username == "slow" {
		a.later = append(a.later, func() { done(v) })
		return
	}
	done(v)
}

// Verdicts, at once and later, and denials are the same again; the password is not in the file.
func TestReplayOfVerdicts(t *testing.T) {
	w := newWorld(t, record.Options{Redact: record.Passwords}, router.Config{})
	a := &teller{w: w}
	l := &router.Listener{Name: "mqtt", Authenticator: a}
	quick, slow, wrong := w.dial(l), w.dial(l), w.dial(l)
	quick.send("10 1a 0004 'MQTT' 04 c2 003c 0001 'a' 0005 'quick' 0004 'geh8'")
	slow.send("10 19 0004 'MQTT' 04 c2 003c 0001 'b' 0004 'slow' 0004 'geh8'")
	wrong.send("10 1b 0004 'MQTT' 04 c2 003c 0001 'c' 0005 'wrong' 0005 'guess'")
	w.pass(a.later[0])
	slow.send("82 0b 0001 0006 'secret' 00 82 06 0002 0001 't' 00")
	quick.send("32 0b 0006 'secret' 0001 'x' 32 06 0001 't' 0002 'y'")
	sent, rep := w.replayed()
	if strings.Join(sent, "\n") != strings.Join(w.sent, "\n") || len(rep.Differs) > 0 {
		t.Errorf("then\n%s\nnow\n%s\n%q", strings.Join(w.sent, "\n"), strings.Join(sent, "\n"), rep.Differs)
	}
	if last := sent[4]; last != "2< 9003000280" {
		t.Errorf("second SUBSCRIBE with a quota of one: %s", last)
	}
	if rep.Stats.Denied != 1 || rep.Stats.AuthFailures != 1 {
		t.Errorf("%d denials, %d failed logins; want one each", rep.Stats.Denied, rep.Stats.AuthFailures)
	}
	for _, secret := range []string{"geh8", "guess"} {
		if bytes.Contains(w.file.Bytes(), []byte(secret)) {
			t.Errorf("%q is in the file", secret)
		}
	}
	if !bytes.Contains(w.file.Bytes(), []byte("xxxxx")) || !bytes.Contains(w.file.Bytes(), []byte("secret")) {
		t.Error("what is no password is not in the file")
	}
}

// Neither is that of a second CONNECT, which is an error, nor what an AUTH has that nobody asked for; what else is one
// stays as it is, so that it is one again.
func TestPasswordOfASecondConnect(t *testing.T) {
	w := newWorld(t, record.Options{Redact: record.Passwords}, router.Config{})
	for _, packets := range []string{
		"c0 00 10 1a 0004 'MQTT' 04 c2 003c 0001 'a' 0005 'quick' 0004 'geh8'",
		"c0 00 10 1a 0004 'MQTT' 04 c2 003c 0001 'a' 0009 'quick' 0004 'geh8'", // and cannot be read
		"32 0b 0006 'topic' ff 0001 'x'",
	} {
		a := w.dial(nil)
		a.send(connectA)
		a.send(packets)
		a.close(errors.New("it is wrong"))
	}
	b := w.dial(nil)
	b.send(connectB5)
	b.send("f0 0f 18 0d 15 0002 'mm' 16 0005 'geh8!'")
	w.same()
	if file := w.file.Bytes(); bytes.Contains(file, []byte("geh8")) || !bytes.Contains(file, []byte("topic")) {
		t.Errorf("%q", file)
	}
}

func TestPayloadsAreLeftOut(t *testing.T) {
	w := newWorld(t, record.Options{Redact: record.Payloads}, router.Config{})
	a := w.dial(nil)
	a.send("10 1d 0004 'MQTT' 04 c6 003c 0001 'a' 0001 'w' 0004 'gone' 0001 'u' 0002 'pw'")
	a.send("82 06 0001 0001 't' 00 30 0a 0001 't' 'private'")
	sent, rep := w.replayed()
	if len(rep.Differs) > 0 || len(sent) != 3 || sent[2] != "1< 300a000174"+hex.EncodeToString([]byte("xxxxxxx")) {
		t.Errorf("%q, %q", sent, rep.Differs)
	}
	for _, secret := range []string{"private", "gone", "pw"} {
		if bytes.Contains(w.file.Bytes(), []byte(secret)) {
			t.Errorf("%q is in the file", secret)
		}
	}
}

// What makes no sense is an error again, whatever is left out of it, and nothing of its payload is told.
func TestErrorsWithoutPayloads(t *testing.T) {
	w := newWorld(t, record.Options{Redact: record.Payloads}, router.Config{})
	w.dial(nil).send("10 11 0004 'MQTT' 04 02 003c 0005 'abcd' ff")
	for _, packets := range []string{
		"30 0a 0001 '#' 'private'",
		"30 1c 0013 'a/long/topic/with/#' 'private'",
		"32 0c 0001 't' 0000 'private'",
		"30 ff ff ff 7f 0001 't' 'private'",
	} {
		a := w.dial(nil)
		a.send(connectA)
		var err error
		w.pass(func() { _, err = w.tap[a].Data(testkit.Bytes(packets)) })
		if err == nil {
			t.Fatalf("%s is no error", packets)
		}
		a.close(err)
	}
	w.same()
	if file := w.file.Bytes(); bytes.Contains(file, []byte("priv")) {
		t.Errorf("%q", file)
	}
}

// A recording ends at its bound, between two events, and what follows goes on without it.
func TestRecordingIsBounded(t *testing.T) {
	w := newWorld(t, record.Options{BytesMax: 4000}, router.Config{})
	a := w.dial(nil)
	a.send(connectA)
	for range 1000 {
		a.send("c0 00")
	}
	if !errors.Is(w.end, record.ErrFull) {
		t.Errorf("ended with %v", w.end)
	}
	sent, rep := w.replayed()
	if n := len(w.file.b); n > 4000 {
		t.Errorf("%d bytes, want 4000 at most", n)
	}
	if len(sent) < 100 || len(sent) >= len(w.sent) || len(rep.Differs) > 0 || !strings.Contains(rep.Ended, "limit") {
		t.Errorf("%d of %d packets, %q, %q", len(sent), len(w.sent), rep.Ended, rep.Differs)
	}
}

// A file that breaks off anywhere is played up to there.
func TestBrokenOffAnywhere(t *testing.T) {
	w := newWorld(t, record.Options{}, router.Config{})
	a := w.dial(&router.Listener{Name: "l"})
	a.send(connectA)
	a.send("82 06 0001 0001 't' 01 32 07 0001 't' 0001 'x'")
	a.send("e0 00")
	a.close(io.EOF)
	whole, _ := w.replayed()
	file := w.file.Bytes()
	for n := bytes.IndexByte(file[20:], '\n') + 21; n < len(file); n++ {
		sent, rep := replay(t, file[:n])
		if rep.Ended != "" || len(sent) > len(whole) {
			t.Fatalf("%d of %d bytes: %q, %d packets", n, len(file), rep.Ended, len(sent))
		}
	}
	if _, err := record.Replay(strings.NewReader("something else"), record.ReplayOptions{}); err == nil {
		t.Error("something else is taken for a recording")
	}
}

// FuzzReplay: no events make it panic, and the same file says the same again.
func FuzzReplay(f *testing.F) {
	head, events := shortRecording()
	f.Add(events)
	f.Fuzz(func(t *testing.T, events []byte) { replayTwice(t, head, events) })
}

// FuzzRecordingHead: nor does any header.
func FuzzRecordingHead(f *testing.F) {
	head, events := shortRecording()
	line := head[19:]
	f.Add(line)
	f.Add([]byte("{}\n"))
	f.Add([]byte("\n"))
	for _, change := range [][2]string{{"true", "false"}, {":0", ":1"}, {":0", ":-1"}, {":1000", ":1e9"}} {
		f.Add(bytes.ReplaceAll(line, []byte(change[0]), []byte(change[1])))
	}
	f.Fuzz(func(t *testing.T, line []byte) { replayTwice(t, append(head[:19:19], line...), events) })
}

// shortRecording is a file of a router with a store, cut behind its header, which is always the same.
func shortRecording() (head, events []byte) {
	w := keepingWorld(&testing.T{}, newShelfStore())
	a := w.dial(&router.Listener{Name: "l"})
	a.send(connectA)
	a.send("82 06 0001 0001 't' 01 32 07 0001 't' 0001 'x'")
	_ = w.rec.Close()
	file := w.file.Bytes()
	n := 20 + bytes.IndexByte(file[20:], '\n') + 1
	return file[:n:n], file[n:]
}

func replayTwice(t *testing.T, head, events []byte) {
	file := append(head, events...)
	one, err := record.Replay(bytes.NewReader(file), record.ReplayOptions{})
	two, again := record.Replay(iotest.OneByteReader(bytes.NewReader(file)), record.ReplayOptions{})
	if (one == nil) != (err != nil) || (err == nil) != (again == nil) || !reflect.DeepEqual(one, two) {
		t.Fatalf("%+v, %v, and then %+v, %v", one, err, two, again)
	}
}

// Sums stand in a recording every tenth of a second, also where each read fills a chunk: a difference is told soon.
func TestSumsWhereMuchIsReceived(t *testing.T) {
	w := newWorld(t, record.Options{}, router.Config{})
	a := w.dial(nil)
	a.send(connectA)
	if _, err := w.r.Attach(&conn{w: w, n: 9}, router.Peer{}).Data(testkit.Bytes(connectB5)); err != nil { // is not recorded
		t.Fatal(err)
	}
	w.pass(func() { _, _ = w.tap[a].Data(bytes.Repeat(publish(1000), 300)) })
	if _, rep := w.replayed(); len(rep.Differs) == 0 {
		t.Error("a client that was not there is not missed")
	}
}
