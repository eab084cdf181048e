package router

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/loopmq/loopmq/internal/timer"
	"github.com/loopmq/loopmq/router/topic"
)

// The $SYS tree tells about the broker in the words of Mosquitto 2.1, so that
// dashboards and exporters made for that one work. It is brought up to date
// when somebody subscribes to a part of it and every Limits.SysInterval for as
// long as somebody does; without a listener it costs nothing.

const (
	sysPrefix    = "$SYS/broker/"
	sysListeners = "listeners/"
)

// sysListenersMin is how many filters into the tree there may be even at the memory
// limit.
const sysListenersMin = 64

// Traffic is what the router is told of the engine and the process, for $SYS.
type Traffic struct {
	BytesIn, BytesOut uint64
	Sockets           uint64        // connections open now
	Accepted          uint64        // connections since the start
	Heap              uint64        // bytes in use now
	State             *StateTraffic // nil: there is no store
	Listeners         []Fact        // what is known of each
	Memory            *MemoryState  // of a router that had a memory limit; nil: the router's own, if it has one
}

// MemoryState is what Limits.MemoryBytesMax does.
type MemoryState struct{ Limit, Used, Level, Trims, Purged, Shed, Held, HeldTurns, HeldTooLong uint64 }

// MemoryState is that of now; nil: there is no limit, and was none that the tree tells of.
func (r *Router) MemoryState() *MemoryState {
	if r.limits.MemoryBytesMax == 0 && r.sys.last["memory/limit"] == "" {
		return nil
	}
	return &MemoryState{
		Limit: uint64(r.limits.MemoryBytesMax), Used: uint64(r.MemoryUsed()), Level: uint64(r.memory.level),
		Trims: r.stats.Trims, Purged: r.stats.Purged, Shed: r.stats.Shed, Held: r.stats.Held, HeldTurns: r.stats.HeldTurns, HeldTooLong: r.stats.HeldTooLong,
	}
}

// StateTraffic is what a store has done since the start, and holds.
type StateTraffic struct {
	Put, Written, Copied uint64 // bytes: handed in, written, and of those copied to free old segments
	Commits, Flushes     uint64
	Records, Elided      uint64 // written, and replaced or deleted before they were
	Live, Disk           uint64 // bytes in use, and taken from the file system
}

// Fact is a number of a listener.
type Fact struct {
	Listener, Name string // a part of a topic each
	Number         int64
}

// sys is the state of the tree.
type sys struct {
	r         *Router
	timer     timer.Timer
	listeners int // filters into the tree
	startedAt int64
	sentAt    int64
	last      map[string]string // what was sent, by topic
	loads     [len(sysLoads)]load
	most      struct{ clients, heap uint64 }
}

// load is a rate per minute, averaged over three times as Unix does.
type load struct {
	count   uint64
	average [3]float64
}

// sysLoads are the rates, sysSpans the seconds that they are averaged over.
//
// table: never written.
var (
	sysLoads = [...]string{
		"messages/received", "messages/sent", "publish/dropped", "publish/received", "publish/sent",
		"bytes/received", "bytes/sent", "sockets", "connections",
	}
	sysSpans = [...]struct {
		name    string
		seconds float64
	}{{"1min", 60}, {"5min", 300}, {"15min", 900}}
)

// sysFilter tells whether a filter asks for a part of the tree.
func sysFilter(filter string) bool {
	_, inner, _, err := topic.ParseShare([]byte(filter))
	return err == nil && strings.HasPrefix(string(inner), "$SYS/")
}

// mayListen tells whether a new filter is taken when no other is: somebody must be
// able to see what is wrong.
func (s *sys) mayListen(filter []byte) bool {
	return s.listeners < sysListenersMin && sysFilter(string(filter))
}

// listen counts a filter into the tree. The first one finds it up to date.
func (s *sys) listen(filter string) {
	if !sysFilter(filter) {
		return
	}
	s.listeners++
	if s.listeners == 1 {
		s.send()
		s.r.stored++ // what was sent now is older than the subscription
	}
}

// unlisten takes a filter back.
func (s *sys) unlisten(filter string) {
	if !sysFilter(filter) {
		return
	}
	s.listeners--
	if s.listeners == 0 {
		s.r.timers.Stop(&s.timer)
	}
}

// Due brings the tree up to date.
func (s *sys) Due(int64) { s.send() }

// wait has send called again in an interval.
func (s *sys) wait() { s.r.timers.Set(&s.timer, s, s.r.after(s.r.limits.SysInterval.Nanoseconds())) }

// send publishes what has changed, and comes again.
func (s *sys) send() {
	r := s.r
	s.wait()
	st := r.Stats()
	var t Traffic
	if r.traffic != nil {
		t = r.traffic()
	}
	number := func(name string, n uint64) { s.put(name, strconv.FormatUint(n, 10)) }
	s.put("version", "loopmq version "+r.version)
	s.put("uptime", fmt.Sprintf("%d seconds", (r.now-s.startedAt)/1e9))

	number("clients/total", uint64(st.Sessions))
	number("clients/maximum", s.most.clients)
	for _, name := range []string{"clients/connected", "clients/active"} {
		number(name, uint64(st.Clients))
	}
	for _, name := range []string{"clients/disconnected", "clients/inactive"} {
		number(name, uint64(r.offline.n))
	}
	number("clients/expired", st.Expired)

	stored := uint64(r.messages.live)
	number("messages/stored", stored)
	number("store/messages/count", stored)
	number("store/messages/bytes", uint64(r.messages.payloadBytes))
	number("subscriptions/count", uint64(st.Subscriptions))
	number("shared_subscriptions/count", uint64(r.sharedSubs))
	s.most.heap = max(s.most.heap, t.Heap)
	number("heap/current", t.Heap)
	number("heap/maximum", s.most.heap)

	published := st.Published[0] + st.Published[1] + st.Published[2]
	delivered := st.Delivered[0] + st.Delivered[1] + st.Delivered[2]
	dropped := uint64(0)
	for _, n := range st.Dropped {
		dropped += n
	}
	number("messages/received", st.PacketsIn)
	number("messages/sent", delivered+st.Answers)
	number("bytes/received", t.BytesIn)
	number("bytes/sent", t.BytesOut)
	number("publish/bytes/received", st.PayloadBytesIn)
	number("publish/bytes/sent", st.PayloadBytesOut)
	number("publish/messages/received", published)
	number("publish/messages/sent", delivered)
	number("publish/messages/dropped", dropped)
	number("packet/out/count", uint64(st.Queued-st.QueuedOnDisk+st.Late))
	number("packet/out/bytes", uint64(st.QueuedBytes+st.LateBytes))
	if r.keep != nil {
		number("packet/disk/count", uint64(st.QueuedOnDisk))
		number("packet/disk/bytes", uint64(st.QueuedDiskBytes))
	}
	number("connections/socket/count", t.Sockets)
	s.putLoads([...]uint64{
		st.PacketsIn, delivered + st.Answers, dropped, published, delivered, t.BytesIn, t.BytesOut, t.Accepted, st.Connects,
	})
	if t.State != nil && r.keep != nil {
		s.putState(t.State, number)
	}
	s.putLimits(st, cmp.Or(t.Memory, r.MemoryState()), number)
	s.putListeners(t.Listeners)
	number("retained messages/count", uint64(r.retained.Len())) // last: the others are among them
	s.sentAt = r.now
}

// putLimits tells which limits took effect, and of the memory if it has one.
func (s *sys) putLimits(st *Stats, m *MemoryState, number func(name string, n uint64)) {
	for _, row := range LimitRows() {
		if n := st.LimitHits[row.ID]; n > 0 {
			number("limits/"+row.Name, n)
		}
	}
	if st.ThrownOut > 0 {
		number("limits/queue-full", st.ThrownOut)
	}
	if m != nil {
		number("memory/limit", m.Limit)
		number("memory/used", m.Used)
		number("memory/level", m.Level)
		number("memory/trims", m.Trims)
		number("memory/purged", m.Purged)
		number("memory/shed", m.Shed)
		number("memory/held", m.Held)
		number("memory/held/turns", m.HeldTurns)
		number("memory/held/told", m.HeldTooLong)
	}
}

// putState tells of the store.
func (s *sys) putState(t *StateTraffic, number func(name string, n uint64)) {
	number("state/bytes/put", t.Put)
	number("state/bytes/written", t.Written)
	number("state/bytes/copied", t.Copied)
	number("state/bytes/today", s.r.keep.today())
	number("state/bytes/live", t.Live)
	number("state/bytes/disk", t.Disk)
	number("state/commits", t.Commits)
	number("state/flushes", t.Flushes)
	number("state/records/written", t.Records)
	number("state/records/elided", t.Elided)
}

// put publishes a value unless it is the one that was sent last.
func (s *sys) put(name, value string) {
	if s.last[name] == value {
		return
	}
	s.last[name] = value
	p := publication{topic: []byte(sysPrefix + name), payload: []byte(value), qos: 2, retain: true}
	s.r.route(&p)
}

// putListeners publishes what is known of listeners, and takes back what is no longer.
func (s *sys) putListeners(facts []Fact) {
	known := make(map[string]bool, len(facts))
	for _, f := range facts {
		name := sysListeners + f.Listener + "/" + f.Name
		known[name] = true
		s.put(name, strconv.FormatInt(f.Number, 10))
	}
	for _, name := range slices.Sorted(maps.Keys(s.last)) {
		if strings.HasPrefix(name, sysListeners) && !known[name] && s.last[name] != "" {
			s.put(name, "")
		}
	}
}

// putLoads moves the averages by what was counted since the last time.
func (s *sys) putLoads(counts [len(sysLoads)]uint64) {
	seconds := max(float64(s.r.now-s.sentAt)/1e9, 0.001)
	for i, name := range sysLoads {
		l := &s.loads[i]
		rate := float64(counts[i]-l.count) * 60 / seconds
		l.count = counts[i]
		for k, span := range sysSpans {
			old := l.average[k]
			l.average[k] = rate + math.Exp(-seconds/span.seconds)*(old-rate)
			text := strconv.FormatFloat(l.average[k], 'f', 2, 64)
			s.put("load/"+name+"/"+span.name, text)
		}
	}
}
