package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/loopmq/loopmq/router"
)

// logQueueMax is how many records wait for a slow log; further ones are
// counted and told later.
const logQueueMax = 4096

// logQueue carries records from the loop to the log, which may block. It is a
// slog.Handler, so that the loop's own records take the same way.
type logQueue struct {
	to   slog.Handler
	ch   chan *entry
	lost *atomic.Uint64
	end  chan struct{} // closed: nothing more is written than what waits
	done chan struct{}
}

type entry struct {
	to  slog.Handler
	rec slog.Record
}

func newLogQueue(log *slog.Logger) *logQueue {
	h := slog.DiscardHandler
	if log != nil {
		h = log.Handler()
	}
	return &logQueue{
		to: h, ch: make(chan *entry, logQueueMax), lost: new(atomic.Uint64),
		end: make(chan struct{}), done: make(chan struct{}),
	}
}

// start begins to write; close writes what waits and ends that. Who logs later, a
// dump that was under way for instance, does so in vain.
func (q *logQueue) start() {
	go func() {
		defer close(q.done)
		for {
			select {
			case e := <-q.ch:
				q.write(e)
			case <-q.end:
				for len(q.ch) > 0 {
					q.write(<-q.ch)
				}
				return
			}
		}
	}()
}

func (q *logQueue) write(e *entry) {
	_ = e.to.Handle(context.Background(), e.rec)
	if n := q.lost.Swap(0); n > 0 {
		r := slog.NewRecord(time.Now(), slog.LevelWarn, "log was too slow; records lost", 0)
		r.Add("records", n)
		_ = e.to.Handle(context.Background(), r)
	}
}

func (q *logQueue) close() {
	close(q.end)
	<-q.done
}

// Enabled implements slog.Handler.
func (q *logQueue) Enabled(ctx context.Context, l slog.Level) bool { return q.to.Enabled(ctx, l) }

// Handle implements slog.Handler; it never blocks.
func (q *logQueue) Handle(_ context.Context, r slog.Record) error {
	select {
	case q.ch <- &entry{q.to, r}:
	default:
		q.lost.Add(1)
	}
	return nil
}

// WithAttrs implements slog.Handler.
func (q *logQueue) WithAttrs(attrs []slog.Attr) slog.Handler {
	w := *q
	w.to = q.to.WithAttrs(attrs)
	return &w
}

// WithGroup implements slog.Handler.
func (q *logQueue) WithGroup(name string) slog.Handler {
	w := *q
	w.to = q.to.WithGroup(name)
	return &w
}

// event writes one line for a router event. What a peer chose is quoted and
// cut, so that it cannot forge a line.
func (q *logQueue) event(e *router.Event) {
	level, text := slog.LevelInfo, ""
	switch e.Kind {
	case router.EventConnect:
		text = "connected"
	case router.EventRefuse:
		text = "connection refused"
	case router.EventDisconnect:
		text = "disconnected"
	case router.EventDrop:
		level, text = slog.LevelWarn, "message dropped"
	case router.EventDollar:
		level, text = slog.LevelDebug, "message to a $ topic ignored"
	case router.EventExpire:
		text = "session expired"
	case router.EventEvict:
		level, text = slog.LevelWarn, "sessions of clients that are away are dropped to make room; "+e.Option
	case router.EventCrowded:
		level, text = slog.LevelWarn, "client sends more QoS 2 messages than it was told to; it is cut off at twice as many"
	case router.EventAuth:
		level, text = slog.LevelWarn, "login failed"
	case router.EventDeny:
		level, text = slog.LevelWarn, "not allowed"
	case router.EventUnacked:
		level, text = slog.LevelWarn, "client does not acknowledge; messages wait behind a full window"
	case router.EventDuel:
		level, text = slog.LevelWarn, "two clients have the same identifier and take the session from each other; give each its own"
	case router.EventMemory:
		level, text = slog.LevelWarn, "memory limit: "+e.Detail
	case router.EventHeld:
		level, text = slog.LevelWarn, "publishers have waited for hold-timeout and are told that there is no room"
	case router.EventWear:
		level, text = slog.LevelWarn, "more was written to the state directory today than was meant to; state_bytes_per_day_warn"
	case router.EventStore:
		level, text = storeWords(e)
	case router.EventUnreadable:
		level, text = slog.LevelError, "a message that waits for the session cannot be read from the disk and is passed over; see loopmq store check"
	case router.EventReadAgain:
		level, text = slog.LevelError, "the disk fails to read a message that waits for the session, and tries again every second; what is behind it waits"
	case router.EventStranger:
		level, text = slog.LevelWarn, "refused: the session belongs to another user"
	}
	if !q.to.Enabled(context.Background(), level) {
		return
	}
	r := slog.NewRecord(time.Now(), level, text, 0)
	addEvent(&r, e)
	_ = q.Handle(context.Background(), r)
}

func addEvent(r *slog.Record, e *router.Event) {
	switch e.Kind {
	case router.EventMemory, router.EventWear, router.EventStore: // not about a client
	default:
		r.Add("client", quote(e.ClientID))
	}
	if user := e.Peer.User(); user != "" {
		r.Add("user", quote(user))
	}
	if addr := e.Peer.Addr(); addr != "" {
		r.Add("addr", addr)
	}
	if l := e.Peer.Listener; l != nil {
		r.Add("listener", l.Name)
	}
	switch e.Kind {
	case router.EventConnect:
		r.Add("version", protocolName(e.Version), "clean", e.Clean, "resumed", e.Present, "keepalive", e.KeepSecs)
	case router.EventDisconnect, router.EventRefuse:
		reason := "client said goodbye"
		if e.Err != nil {
			reason = e.Err.Error()
		}
		r.Add("reason", reason)
		if e.Dropped > 0 {
			r.Add("dropped", e.Dropped)
		}
	case router.EventDrop:
		if e.Topic != "" {
			r.Add("topic", quote(e.Topic))
		}
		r.Add("reason", e.Detail, "times", e.Count)
		if e.Option != "" {
			r.Add("see", e.Option)
		}
	case router.EventEvict:
		r.Add("like", quote(e.Detail), "times", e.Count)
	case router.EventDollar:
		r.Add("topic", quote(e.Detail))
	case router.EventCrowded:
		r.Add("receive-maximum", e.Detail)
	case router.EventAuth:
		if e.User != "" {
			r.Add("user", quote(e.User))
		}
		r.Add("reason", quote(e.Err.Error()))
	case router.EventDeny:
		r.Add("action", e.Action, "topic", quote(e.Detail), "rule", ruleOr(e.Rule), "times", e.Count)
	case router.EventUnacked:
		r.Add("inflight", e.Count, "waiting", e.Waiting)
	case router.EventDuel:
		r.Add("other", e.Other.Addr(), "times", e.Count)
	case router.EventMemory:
		r.Add("used", e.Count, "limit", e.Waiting)
	case router.EventHeld:
		r.Add("times", e.Count)
	case router.EventWear:
		r.Add("bytes", e.Count, "limit", e.Waiting, "topics", quote(e.Topic), "clients", quote(e.User))
	case router.EventStore:
		if e.Err != nil {
			r.Add("error", e.Err.Error())
		} else {
			r.Add("times", e.Count)
		}
	case router.EventUnreadable, router.EventReadAgain:
		r.Add("topic", quote(e.Topic), "error", e.Err.Error(), "times", e.Count)
	case router.EventStranger:
		r.Add("owner", quote(e.User))
	}
}

// storeWords says what has become of the store.
func storeWords(e *router.Event) (slog.Level, string) {
	switch {
	case e.Err == nil:
		return slog.LevelWarn, "the store takes messages again, for a minute by now; times says how often it was full"
	case errors.Is(e.Err, router.ErrStoreFull):
		return slog.LevelError, "the store is full: messages with QoS 1 and 2 for durable sessions are not acknowledged until there is room"
	}
	return slog.LevelError, "the store has failed: no durable message is taken until the broker is restarted; look at the disk first"
}

// ruleOr names the rule that denied.
func ruleOr(rule fmt.Stringer) string {
	if rule == nil {
		return "no rule allows it"
	}
	return rule.String()
}

// protocolName is the version as people write it.
func protocolName(level byte) string {
	switch level {
	case 3:
		return "3.1"
	case 4:
		return "3.1.1"
	case 5:
		return "5.0"
	}
	return fmt.Sprintf("level %d", level)
}

// quotedBytesMax is how much of a peer's string a log line shows.
const quotedBytesMax = 256

// quote makes a string of a peer safe for a log line.
func quote(s string) string {
	if len(s) > quotedBytesMax {
		s = s[:quotedBytesMax] + "…"
	}
	q := strconv.Quote(s)
	return q[1 : len(q)-1]
}
