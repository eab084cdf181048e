package broker

import (
	"context"
	"runtime"
	"sort"
	"strings"
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
	var used, limit int64
	var busy, today uint64
	var largest []router.Backlog
	var facts []router.Fact
	var banned *guard.Bans
	err := b.Do(ctx, func(r *router.Router, l *loop.Stats) {
		rs, ls, used, largest = *r.Stats(), *l, r.MemoryUsed(), r.Backlogs(dumpBacklogs)
		facts, busy, today = b.facts(), b.logins.refused, r.WrittenToday()
		banned, limit = b.bans, int64(r.Limits().MemoryBytesMax)
	})
	if err != nil {
		return err
	}
	waits, err := b.waits(ctx)
	if err != nil {
		return err
	}
	log := b.logger()
	log.Info("state: clients", pairs("connections clients sessions subscriptions retained retained_bytes",
		int64(ls.Conns), int64(rs.Clients), int64(rs.Sessions), int64(rs.Subscriptions), int64(rs.Retained), int64(rs.RetainedBytes))...)
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
		"memory_limit", limit, "goroutines", runtime.NumGoroutine(), "logins_refused", busy)
	if st := b.state.traffic(); st != nil {
		log.Info("state: disk", append([]any{"dir", b.state.dir}, pairs(
			"bytes_put bytes_written bytes_copied bytes_today commits flushes records elided live disk",
			int64(st.Put), int64(st.Written), int64(st.Copied), int64(today), int64(st.Commits), int64(st.Flushes), int64(st.Records),
			int64(st.Elided), int64(st.Live), int64(st.Disk))...)...)
	}
	for listener, of := range byListener(facts) {
		log.Info("state: listener", append([]any{"listener", listener}, of...)...)
	}
	bans := banned.List(time.Now().UnixNano()) // not on the loop: 100,000 take a while
	for i := range bans[:min(len(bans), dumpNames)] {
		log.Info("state: banned", "who", bans[i].Line(), "all", len(bans))
	}
	for _, w := range waits[:min(len(waits), dumpNames)] {
		log.Info("state: has to wait after failed logins", "addr", w.Addr.String(), "left", w.Left.Round(time.Second).String())
	}
	for _, c := range b.Certificates() {
		log.Info("state: certificate", "listener", c.Listener, "file", c.File, "days", int(time.Until(c.NotAfter).Hours()/24))
	}
	return nil
}

// waits are the addresses that have to wait before they may log in, the longest
// first; the loop is asked for some at a time.
func (b *Broker) waits(ctx context.Context) (list []guard.Wait, err error) {
	for at, all := 0, false; !all; all = at == 0 {
		var some []guard.Wait
		if err := b.Do(ctx, func(*router.Router, *loop.Stats) { some, at = b.guard.Waits(b.monotonic(), at) }); err != nil {
			return nil, err
		}
		list = append(list, some...)
	}
	sort.Slice(list, func(i, j int) bool { return list[i].Left > list[j].Left })
	return list, nil
}

// pairs are names, with spaces between them, and their values, for the log.
func pairs(names string, values ...int64) (list []any) {
	for i, name := range strings.Fields(names) {
		list = append(list, name, values[i])
	}
	return list
}
