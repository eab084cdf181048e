package hostile

import (
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/loopmq/loopmq/conformance/child"
)

var (
	all  = flag.Bool("all", false, "run the rows that take their time, too, and print figures")
	each = flag.Bool("each", false, "run the rows one after the other, and print more of those that the witness felt")
	only = flag.String("rows", "", "run only rows whose name matches this regular `expression`")
)

// stage is how far a connection is when the row begins.
type stage int

const (
	bare   stage = iota // through the door, no CONNECT
	in4                 // CONNECT of 3.1.1 accepted
	in5                 // CONNECT of 5.0 accepted
	wire                // nothing but TCP
	framed              // through the door and CONNECT of 3.1.1 accepted, but what is sent is not put in frames
)

// outcome is what must become of the sender.
type outcome struct {
	closed, either bool
	reason         byte     // in the last packet, if it has one; 0: any
	answers        []string // beginnings of the packets that come before PINGRESP
}

var (
	closes   = outcome{closed: true}
	survives = outcome{}
	whatever = outcome{either: true}
)

// closesWith is closes, with this reason code in a DISCONNECT or CONNACK before.
func closesWith(reason byte) outcome { return outcome{closed: true, reason: reason} }

// answers is survives, with packets that begin so.
func answers(prefixes ...string) outcome { return outcome{answers: prefixes} }

// attack is one row: bytes to send, or a script, and what follows for the sender.
type attack struct {
	name   string
	at     stage
	send   []byte
	want   outcome
	door   string                    // its name; "" is every one
	script func(r *row, p *peer)     // besides send, before the outcome is looked at
	crowd  func(r *row, d int) error // instead of all else: many connections to door d
	slow   bool                      // not in the ordinary run
}

// row is an attack in progress.
type row struct {
	*attack
	s  *server
	id string // of the client, nobody else's
}

// table is all rows, in groups, less those that are not asked for.
func table(pattern *regexp.Regexp) (groups [][]attack) {
	for _, rows := range [][]attack{
		cutRows(), headerRows(), connectRows(), rows4(), rows5(), topicRows(), webSocketRows(), tlsRows(), garbageRows(),
		slowRows(), stormRows(), floodRows(), crowdRows(), bombRows(),
	} {
		rows = slices.DeleteFunc(rows, func(a attack) bool { return !pattern.MatchString(a.name) })
		if len(rows) > 0 {
			groups = append(groups, rows)
		}
	}
	return groups
}

// TestHostile: whatever is sent, its sender gets what is due to it, and nobody else notices.
func TestHostile(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("needs /proc")
	}
	pattern, err := regexp.Compile(*only)
	if err != nil {
		t.Fatal(err)
	}
	groups := table(pattern)
	if len(groups) == 0 {
		t.Fatalf("no row is called as -rows %q (ROWS) says: nothing would be tried", *only)
	}
	s := startServer(t)
	w, err := newWitness(s.Addrs[0])
	if err != nil {
		t.Fatal(err)
	}
	before := s.holds(child.Thorough)
	residentBefore := s.Resident()
	t.Logf("priority of the witness: %s; of the attackers: %s; load of the machine: %s",
		strings.TrimSpace(w.prio), lowly(), load()) // children have theirs already
	lost := lostPackets()
	knocks, rows, failed := s.run(t, groups, before.Conns)
	said, err := w.end()
	if err != nil || said.Lost != "" {
		t.Error("somebody else noticed:", said.Lost, err)
	}
	before.Clients, before.Conns = before.Clients-1, before.Conns-1 // the witness
	s.settled(before.Conns)
	after := s.holds(child.Thorough)
	if after.Invariants != "" {
		t.Errorf("invariants: %s", after.Invariants)
	}
	if after.Clients != before.Clients || after.Conns != before.Conns || after.Retained != before.Retained {
		t.Errorf("left behind: %+v, before %+v", after, before)
	}
	if s.Peak() == 0 || s.Peak() > residentMax {
		t.Errorf("the broker took %.0f MB; it may have %d", mb(s.Peak()), residentMax/1_000_000)
	}
	if rows == 0 {
		t.Errorf("the rows that -rows %q (ROWS) names take their time: they want -all", *only)
	}
	if after.MemoryRefused > 0 {
		t.Errorf("the memory limit of %d bytes was reached %d times", memoryLimit, after.MemoryRefused)
	}
	t.Logf("%d rows, %d knocks, %d failed; %d packets that the kernel did not take", rows, knocks, failed, lostPackets()-lost)
	s.report(t, said.Trips)
	t.Logf("broker: resident %.1f MB before, at most %.1f MB, %.1f MB after; heap %.1f MB before, %.1f MB after; %d sessions kept",
		mb(residentBefore), mb(s.Peak()), mb(s.Resident()), mb(int64(before.HeapBytes)), mb(int64(after.HeapBytes)), after.Sessions)
}

// report tells what the witness felt.
func (s *server) report(t *testing.T, trips []trip) {
	quiet, hostile, rows := s.sorted(trips)
	t.Logf("witness in quiet:     %s", figures(quiet))
	t.Logf("witness under attack: %s", figures(hostile))
	if len(quiet) > 0 && len(hostile) > 0 {
		times := func(q float64) float64 { return float64(quantile(hostile, q)) / float64(quantile(quiet, q)) }
		t.Logf("under attack p50 is %.2f, p99 %.2f, p99.9 %.2f, the longest %.2f times what it is in quiet",
			times(.5), times(.99), times(.999), times(1))
	}
	most := 5
	if *each {
		most = 25
	}
	tell(t, rows, most)
}

// load is how many wanted to run in the last minutes.
func load() string {
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	return strings.Join(strings.Fields(string(b))[:3], " ")
}

func mb(n int64) float64 { return float64(n) / 1e6 }

// run has the rows done, several at a time; those of many connections alone. Between groups of them nothing is done.
func (s *server) run(t *testing.T, groups [][]attack, conns uint64) (knocks, count, failed int64) {
	calm := 100 * time.Millisecond
	if *all {
		calm = 2 * time.Second
	}
	var n, bad atomic.Int64
	var working sync.WaitGroup
	places := make(chan struct{}, 8)
	seen := map[string]bool{}
	for _, rows := range groups {
		s.rest(conns, calm)
		for i := range rows {
			a := &rows[i]
			if seen[a.name] {
				t.Errorf("two rows are called %q", a.name)
			}
			seen[a.name] = true
			if a.slow && !*all {
				continue
			}
			count++
			if a.crowd != nil || *each {
				working.Wait()
				end := s.began(a.name)
				s.attack(a, *all, &n, &bad)
				s.settled(conns)
				end()
				continue
			}
			places <- struct{}{}
			working.Go(func() {
				end := s.began(a.name)
				s.attack(a, *all || i%7 == 0, &n, &bad)
				end()
				<-places
			})
		}
		working.Wait()
	}
	s.rest(conns, calm)
	return n.Load(), count, bad.Load()
}

// attack does the row at its doors; unless everywhere is asked for, one that knows all of them at the first only.
func (s *server) attack(a *attack, everywhere bool, n, bad *atomic.Int64) {
	for d := range doors {
		if !doors[d].is(a.door) || d > 0 && a.door == "" && !everywhere {
			continue
		}
		r := &row{attack: a, s: s, id: fmt.Sprint("hostile", n.Add(1))}
		if err := r.knock(d); err != nil {
			bad.Add(1)
			s.t.Errorf("%s, %s: %v", doors[d].name, a.name, err)
		}
	}
}

// settled waits until no more connections than before are left. The broker is another process, which has to be asked.
func (s *server) settled(before uint64) {
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if h := s.holds(child.Brief); h.Conns <= before && uint64(h.Clients) <= before {
			return
		}
	}
}

// knock does the row at one door.
func (r *row) knock(d int) error {
	if r.crowd != nil {
		return r.crowd(r, d)
	}
	p, err := r.come(d)
	for range 2 { // a machine that is busy may let connect-timeout pass
		if err != nil {
			p, err = r.come(d)
		}
	}
	if err != nil {
		return err
	}
	defer p.reset()
	if r.send != nil {
		if r.at == wire || r.at == framed {
			p.raws(r.send)
		} else {
			p.say(r.send)
		}
	}
	if r.script != nil {
		r.script(r, p)
	}
	return r.want.check(p)
}

// come brings a connection to where the row begins.
func (r *row) come(d int) (*peer, error) {
	open := doors[d].open
	if r.at == wire {
		open = dialTCP
	}
	c, err := open(r.s.Addrs[d])
	if err != nil {
		return nil, err
	}
	p := &peer{Conn: c, door: &doors[d]}
	switch r.at {
	case in4, framed:
		return p, p.enter(connect(r.id, 60), hx("20 02 00 00"))
	case in5:
		return p, p.enter(connect5(r.id, 60), nil)
	}
	return p, nil
}

// enter connects; want is the CONNACK, nil for any that says yes.
func (p *peer) enter(connect, want []byte) error {
	p.say(connect)
	k := p.next(patience)
	if len(k) < 4 || k[0] != 0x20 || k[3] != 0 || want != nil && !bytes.Equal(k, want) {
		p.reset()
		return fmt.Errorf("CONNACK: got % x", k)
	}
	return nil
}

// check looks at what became of the sender.
func (o outcome) check(p *peer) error {
	if o.closed {
		last, ok := p.closed()
		if !ok {
			return fmt.Errorf("still open after %v; want it closed", patience)
		}
		if o.reason == 0 {
			return nil
		}
		if got, has := reasonOf(last); !has || got != o.reason {
			return fmt.Errorf("closed after % x; want reason %#02x", last, o.reason)
		}
		return nil
	}
	before, ok := p.alive()
	if o.either {
		if !ok && !p.over {
			return fmt.Errorf("neither closed nor answered within %v", patience)
		}
		return nil
	}
	if !ok {
		return errors.New("closed; want it served on" + words(before))
	}
	if o.answers != nil && !slices.EqualFunc(before, o.answers, func(got []byte, want string) bool {
		return bytes.HasPrefix(got, hx(want))
	}) {
		return fmt.Errorf("want %s%s", strings.Join(o.answers, ", "), words(before))
	}
	return nil
}

func words(before [][]byte) string {
	var all []string
	for _, b := range before[:min(len(before), 5)] {
		all = append(all, hex.EncodeToString(b))
	}
	return fmt.Sprintf("; %d packets came, beginning with %s", len(before), strings.Join(all, ", "))
}

// reasonOf reads the reason or return code of DISCONNECT and CONNACK.
func reasonOf(k []byte) (code byte, has bool) {
	switch {
	case len(k) >= 3 && k[0] == 0xe0:
		return k[2], true
	case len(k) >= 4 && k[0] == 0x20:
		return k[3], true
	}
	return 0, false
}
