package loop

import (
	"io"
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// hurried is an engine that does one thing of each kind in a pass.
func hurried(t *testing.T) *epoll {
	l := stepped(t)
	l.start, l.share = time.Now(), 1
	return l
}

// Whoever has more to do than a turn allows waits for the next one behind all others, and the others are answered
// meanwhile.
func TestHeavyConnectionsTakeTurns(t *testing.T) {
	l := hurried(t)
	turns := [3]int{}
	var writers [3]int
	for i := range turns {
		s, c, peer := pair(t, l)
		defer unix.Close(peer)
		writers[i] = peer
		s.data = func([]byte) {
			turns[i]++
			c.Pause() // there is more to do
			c.Resume()
		}
		unix.Write(peer, []byte("more"))
	}
	light, c, peer := pair(t, l)
	defer unix.Close(peer)
	light.data = func(view []byte) { c.Send(view) }
	for range 10 { // all of them have shown what they are
		l.pass()
		for _, fd := range writers {
			unix.Write(fd, []byte("more"))
		}
	}
	before := turns
	scratch := make([]byte, 10)
	for n := range 9 {
		unix.Write(peer, []byte("ping"))
		for _, fd := range writers {
			unix.Write(fd, []byte("more"))
		}
		for passes := 0; ; passes++ {
			if passes > len(turns) {
				t.Fatalf("no answer after %d passes", passes)
			}
			l.pass()
			if got, _ := unix.Read(peer, scratch); got > 0 {
				break
			}
		}
		if n == 0 {
			before = turns
		}
	}
	for i := range turns {
		for j := range turns {
			if a, b := turns[i]-before[i], turns[j]-before[j]; a > b+1 {
				t.Errorf("turns %v, before %v: one has more than its share", turns, before)
			}
		}
	}
	if turns == before {
		t.Error("none had a turn")
	}
}

// Who has more to say is heavy, and whose much took long; not whose little did: it may be others who took the time.
func TestWhoIsHeavy(t *testing.T) {
	l := hurried(t)
	l.long = 0
	for _, test := range []struct {
		bytes        int
		yields, want bool
	}{{longBytes, false, true}, {longBytes - 1, false, false}, {1, true, true}} {
		s, c, peer := pair(t, l)
		defer unix.Close(peer)
		s.data = func([]byte) {
			if test.yields {
				c.Pause()
				c.Resume()
			}
		}
		unix.Write(peer, make([]byte, test.bytes))
		for s.datas == 0 {
			l.pass()
		}
		if is := c.heavy(); is != test.want {
			t.Errorf("%d bytes, more to say %v: heavy %v", test.bytes, test.yields, is)
		}
	}
}

// Who had a long turn is heavy for some more: its turns are short now and then, and would not be short together.
func TestHeavyOnesStaySo(t *testing.T) {
	l := hurried(t)
	s, c, peer := pair(t, l)
	defer unix.Close(peer)
	turn := func(long int64) {
		l.long = long
		unix.Write(peer, make([]byte, longBytes))
		for was := s.datas; s.datas == was; {
			l.pass()
		}
	}
	for range 2 {
		for n, long := range []int64{0, time.Hour.Nanoseconds(), 0} {
			if turn(long); !c.heavy() {
				t.Fatalf("turn %d: not heavy", n+1)
			}
		}
		c.load |= wide // is something else
		for n := 1; c.heavy(); n++ {
			if turn(time.Hour.Nanoseconds()); c.heavy() != (n < heavyTurns) {
				t.Fatalf("heavy after %d short turns: %v", n, c.heavy())
			}
		}
	}
}

// While nobody waits who sends little, the heavy ones have twice the time.
func TestHeavyOnesAlone(t *testing.T) {
	l := hurried(t)
	l.now = l.clock()
	l.share = 20 * time.Millisecond.Nanoseconds()
	turns := 0
	var writers []int
	for range 4 {
		s, c, peer := pair(t, l)
		defer unix.Close(peer)
		s.data = func([]byte) {
			turns++
			l.start = l.start.Add(-time.Duration(l.share)) // the clock
		}
		c.load = heavyTurns * heavy
		writers = append(writers, peer)
	}
	light, c, peer := pair(t, l)
	defer unix.Close(peer)
	light.data = func([]byte) {}
	pass := func() int {
		was := turns
		for _, fd := range writers {
			unix.Write(fd, []byte("more"))
		}
		l.pass()
		return turns - was
	}
	unix.Write(peer, []byte("ping"))
	pass() // in which they are put off, and the light one is read
	if got := pass(); c.load != 0 || got != 1 || l.passBudget().conns != l.lim.FlushConns/2 {
		t.Errorf("beside somebody light %d had their turns, want 1; budget %+v", got, l.passBudget())
	}
	for range aloneNanos / l.share {
		pass()
	}
	if got := pass(); got != 2 || l.passBudget().conns != l.lim.FlushConns {
		t.Errorf("alone %d had their turns, want 2; budget %+v", got, l.passBudget())
	}
}

// A machine may have slept: what has arrived meanwhile is read before timers run, also if that is more than the kernel
// tells at one go, or if events of before are left.
func TestEverythingIsReadAfterARest(t *testing.T) {
	l := hurried(t)
	read := 0
	var peers []int
	for i := range eventBatch + 6 {
		s, c, peer := pair(t, l)
		defer unix.Close(peer)
		s.data = func([]byte) { read++ }
		if i%2 == 0 {
			c.load = heavyTurns * heavy
		}
		peers = append(peers, peer)
	}
	for _, fd := range peers[:3] {
		unix.Write(fd, []byte("ping"))
	}
	l.pass() // which puts one off, reads one, and leaves one
	for _, fd := range peers {
		unix.Write(fd, []byte("ping"))
	}
	read = 0
	l.now -= time.Second.Nanoseconds()
	l.hooks.EndPass = func() int64 {
		if read < len(peers) {
			t.Errorf("timers run, and %d of %d are read", read, len(peers))
		}
		return 0
	}
	l.pass()
	l.hooks.EndPass = Hooks{}.withDefaults().EndPass
}

// A pass that reads everything is long where many send much. That is no rest: otherwise the next one would read everything
// too, and so on for ever, and who sends little would wait behind all of them.
func TestReadingAfterARestIsWork(t *testing.T) {
	for _, at := range []string{"reading", "writing"} {
		l := hurried(t)
		l.now = l.clock()
		var peers []int
		goOn := func(by int64) { l.start = l.start.Add(-time.Duration(by)) } // the clock
		for range 2 {
			s, _, peer := pair(t, l)
			defer unix.Close(peer)
			s.data = func([]byte) {
				if at == "reading" {
					goOn(restNanos)
				}
			}
			peers = append(peers, peer)
		}
		l.hooks.ViewsAge = func() { // which is called when all is written
			if at == "writing" {
				goOn(restNanos)
			}
		}
		for n, rest := range []bool{true, false, true, false} {
			if rest {
				goOn(time.Hour.Nanoseconds())
			}
			for _, fd := range peers {
				unix.Write(fd, []byte("more"))
			}
			l.pass()
			if l.rested != rest {
				t.Errorf("%s: pass %d behind a rest: %v, want %v", at, n, l.rested, rest)
			}
		}
	}
}

// Each answer is a system call: not more than so many are made before the kernel is asked who else is there.
func TestAnswersOfAPassAreBounded(t *testing.T) {
	l := stepped(t)
	var peers []int
	for range answersMax + 10 {
		s, c, peer := pair(t, l)
		defer unix.Close(peer)
		s.data = func(view []byte) { c.Send(view) }
		peers = append(peers, peer)
		unix.Write(peer, []byte("ping"))
	}
	answered, scratch := 0, make([]byte, 10)
	for _, want := range []int{answersMax, len(peers)} {
		l.pass()
		for _, fd := range peers {
			if n, _ := unix.Read(fd, scratch); n > 0 {
				answered++
			}
		}
		if answered != want {
			t.Errorf("%d are answered, want %d", answered, want)
		}
	}
}

func TestClosedConnectionsAreReapedInPieces(t *testing.T) {
	l := hurried(t)
	var all []*scripted
	for range 5 {
		s, c, peer := pair(t, l)
		defer unix.Close(peer)
		all = append(all, s)
		c.Close(io.EOF)
	}
	other, co, peer := pair(t, l)
	defer unix.Close(peer)
	all[0].c.(*conn).h = &closing{all[0], func() { co.Close(io.EOF) }} // while the list is being worked on
	all = append(all, other)
	for n := 1; n <= len(all); n++ {
		if !l.busy() {
			t.Fatal("would sleep with connections to reap")
		}
		l.pass()
		closed := 0
		for _, s := range all {
			closed += len(s.closed)
		}
		if closed != n {
			t.Fatalf("%d of %d closed after %d passes", closed, len(all), n)
		}
	}
	if len(l.closing) != 0 {
		t.Errorf("%d left", len(l.closing))
	}
}

// When all are closed nobody is left who would wait, and passes that look at all of them would take minutes.
func TestStopReapsAllAtOnce(t *testing.T) {
	l := hurried(t)
	for range 50 {
		_, _, peer := pair(t, l)
		defer unix.Close(peer)
	}
	l.hooks.Stopping = func() {
		for _, c := range l.slots.conns {
			c.Close(io.EOF)
		}
	}
	l.Stop(time.Minute)
	l.pass()
	if n := l.stats.Conns; n != 0 {
		t.Errorf("%d connections are left after the pass", n)
	}
}

// closing does something in Closed.
type closing struct {
	*scripted
	do func()
}

func (c *closing) Closed(why error) { c.do(); c.scripted.Closed(why) }

func TestReadsComeInPieces(t *testing.T) {
	for _, heavies := range []bool{false, true} {
		l := hurried(t)
		l.now = l.clock()
		read := 0
		for range 3 {
			s, c, peer := pair(t, l)
			defer unix.Close(peer)
			s.data = func([]byte) { read++ }
			if heavies {
				c.load = heavyTurns * heavy
			}
			unix.Write(peer, []byte("ping"))
		}
		if heavies {
			l.pass() // in which they are put off
		}
		for n := 1; n <= 3; n++ {
			if l.pass(); read != n {
				t.Fatalf("heavy: %v, pass %d: %d are read", heavies, n, read)
			}
		}
	}
}

// served is a listener that l serves.
func served(t *testing.T, l *epoll) *Socket {
	ln, err := listen(Listener{Name: "mqtt", Network: "tcp", Address: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Serve(ln); err != nil {
		t.Fatal(err)
	}
	return ln
}

func TestAcceptsAndPostsComeInPieces(t *testing.T) {
	l := hurried(t)
	ln := served(t, l)
	l.hooks.Accept = func(Conn, Peer) Handler { return &scripted{} }
	ran := 0
	for range 3 {
		peer, err := net.Dial("tcp", ln.addr.String())
		if err != nil {
			t.Fatal(err)
		}
		defer peer.Close()
		l.Post(func() { ran++ })
	}
	for n := 1; n <= 3; n++ {
		l.pass()
		if l.stats.Accepted != uint64(n) || ran != n {
			t.Fatalf("pass %d: %d accepted, %d posts ran", n, l.stats.Accepted, ran)
		}
	}
}
