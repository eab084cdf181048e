package broker

import (
	"context"
	"runtime"
	"time"

	"github.com/loopmq/loopmq/auth/guard"
	"github.com/loopmq/loopmq/loop"
	"github.com/loopmq/loopmq/router"
)

// dumpBacklogs is how many sessions a dump names.
const dumpBacklogs = 5

// dumpNames is how many bans and addresses it names.
const dumpNames = 100

// Dump writes the state of the broker to the log: what is connected, what
// waits, what was dropped and for what, the largest backlogs, who is banned, and
// which addresses have to wait before they may log in again.
func (b *Broker) Dump(ctx context.Context) error {
	var rs router.Stats
	var ls loop.Stats
	var used int64
	var busy, today uint64
	var largest []router.Backlog
	var facts []router.Fact
	var bans []guard.Ban
	var waits []guard.Wait
	err := b.Do(ctx, func(r *router.Router, l *loop.Stats) {
		rs, ls, used, largest = *r.Stats(), *l, r.MemoryUsed(), r.Backlogs(dumpBacklogs)
		facts, busy, today = b.facts(), b.logins.refused, r.WrittenToday()
		bans, waits = b.bans.List(time.Now().UnixNano()), b.guard.Waits(b.monotonic(), dumpNames)
	})
	if err != nil {
		return err
	}
	log := b.logger()
	log.Info("state: clients", "connections", ls.Conns, "clients", rs.Clients, "sessions", rs.Sessions,
		"subscriptions", rs.Subscriptions, "retained", rs.Retained, "retained_bytes", rs.RetainedBytes)
	dropped, hits := rs.Dropped, rs.LimitHits
	clear(rs.Dropped[:]) // they have lines of their own
	clear(rs.LimitHits[:])
	log.Info("state: counters since the start, and what there is now", counters(&rs)...)
	log.Info("state: loop", counters(&ls)...)
	for reason, n := range dropped {
		if n > 0 {
			log.Info("state: dropped", "reason", router.DropReason(reason).String(), "messages", n)
		}
	}
	for _, row := range router.LimitRows() {
		if n := hits[row.ID]; n > 0 {
			log.Info("state: limit reached", "limit", row.Name, "times", n, "effect", row.Effect)
		}
	}
	for _, s := range largest {
		log.Info("state: backlog", "client", quote(s.ClientID), "connected", s.Connected, "messages", s.Messages, "bytes", s.Bytes, "inflight", s.Inflight)
	}
	log.Info("state: process", "up", time.Since(b.made).Round(time.Second).String(), "memory_of_clients", used,
		"memory_limit", b.cfg.Limits.MemoryBytesMax, "goroutines", runtime.NumGoroutine(), "logins_refused", busy)
	if st := b.state.traffic(); st != nil {
		log.Info("state: disk", "dir", b.state.dir, "bytes_put", st.Put, "bytes_written", st.Written, "bytes_copied", st.Copied, "commits", st.Commits,
			"bytes_today", today, "flushes", st.Flushes, "records", st.Records, "elided", st.Elided, "live", st.Live, "disk", st.Disk)
	}
	for listener, of := range byListener(facts) {
		log.Info("state: listener", append([]any{"listener", listener}, of...)...)
	}
	for i := range bans[:min(len(bans), dumpNames)] {
		log.Info("state: banned", "who", bans[i].Line(), "all", len(bans))
	}
	for _, w := range waits {
		log.Info("state: has to wait after failed logins", "addr", w.Addr.String(), "left", w.Left.Round(time.Second).String())
	}
	for _, c := range b.Certificates() {
		log.Info("state: certificate", "listener", c.Listener, "file", c.File, "days", int(time.Until(c.NotAfter).Hours()/24))
	}
	return nil
}
