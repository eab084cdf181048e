package router

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Limits bound what peers can make the broker hold. A zero field takes its
// default; each has a row in LimitRows, and a counter unless it is a mere pace.
type Limits struct {
	// PacketBytesMax is the largest control packet accepted, fixed header
	// included. With a Store it is at most 1 MiB less than what MQTT allows.
	PacketBytesMax int
	// ConnectBytesMax is the largest CONNECT packet accepted.
	ConnectBytesMax int
	// ConnectTimeout is the time a connection has from being accepted to a
	// whole, valid CONNECT.
	ConnectTimeout time.Duration
	// ClientIDBytesMax is the longest client identifier accepted.
	ClientIDBytesMax int
	// InflightMax is how many QoS 1 and QoS 2 messages are sent to a client
	// before it must acknowledge one.
	InflightMax int
	// QueuedMessagesMax is how many messages wait for one session.
	QueuedMessagesMax int
	// QueuedBytesMax is how many bytes of topics and payloads wait for one
	// session.
	QueuedBytesMax int
	// QueuedTotalMax is how many messages wait for all sessions together.
	QueuedTotalMax int
	// QueuedWindowMax is how many of a durable session's queued messages are in
	// memory; the rest are on disk only.
	QueuedWindowMax int
	// QueuedWindowBytesMax is how many bytes of topics and payloads these have.
	QueuedWindowBytesMax int
	// TopicBytesMax is the longest topic name or filter.
	TopicBytesMax int
	// TopicLevelsMax is the deepest topic name or filter.
	TopicLevelsMax int
	// SubscriptionsMax is how many filters one session may hold.
	SubscriptionsMax int
	// SessionsMax is how many sessions without a connection are kept.
	SessionsMax int
	// SessionExpiry is how long a session outlives its connection: a
	// persistent one of 3.x, and at most one of 5.0.
	SessionExpiry time.Duration
	// ReceiveMaximum is how many QoS 2 messages a 5.0 client may send before
	// it releases one; the client is told in CONNACK.
	ReceiveMaximum int
	// TopicAliasMax is how many topic aliases a 5.0 client may set.
	TopicAliasMax int
	// TopicAliasOutMax is how many topic aliases are used towards a client
	// that takes any.
	TopicAliasOutMax int
	// KeepAliveMax is the longest keep alive of a 5.0 client, which may have
	// none only where this is longer than 65,535 s.
	KeepAliveMax time.Duration
	// RetainedMessagesMax is how many topics may have a retained message.
	RetainedMessagesMax int
	// RetainedBytesMax bounds topics and payloads of all retained messages.
	RetainedBytesMax int
	// LateBytesMax is how many bytes of QoS 0 messages wait for one client
	// whose output is full.
	LateBytesMax int
	// SlowTimeout is how long a client may take nothing of what it is sent, and, from
	// 80 % of MemoryBytesMax on, how long a packet that it has begun may not grow.
	SlowTimeout time.Duration
	// AckTimeout is how long a client may leave a full window of messages
	// unacknowledged before that is reported.
	AckTimeout time.Duration
	// HoldTimeout is how long a publisher of QoS 1 or 2 is not read from because
	// there is no memory, or no room in the store, before it is told so, and the
	// memory full before those who hold most are disconnected.
	HoldTimeout time.Duration
	// TakeoversMax is how often within ten seconds a client identifier may be
	// taken over before newcomers have to wait a second each.
	TakeoversMax int
	// SysInterval is how often the $SYS tree is brought up to date while
	// somebody is subscribed to a part of it.
	SysInterval time.Duration
	// MemoryBytesMax is what all that clients make the broker hold may come to,
	// in bytes; 0: not looked at.
	MemoryBytesMax int
	// RetainedPassMax is how many retained messages a session is handed
	// between two waits of the loop.
	RetainedPassMax int
}

// DefaultLimits are the limits in force where nothing else is said.
func DefaultLimits() Limits {
	return Limits{
		PacketBytesMax:       2_000_000,
		ConnectBytesMax:      256 << 10,
		ConnectTimeout:       10 * time.Second,
		ClientIDBytesMax:     256,
		InflightMax:          64,
		QueuedMessagesMax:    1_000,
		QueuedBytesMax:       8 << 20,
		QueuedTotalMax:       100_000_000,
		QueuedWindowMax:      256,
		QueuedWindowBytesMax: 256 << 10,
		TopicBytesMax:        4096,
		TopicLevelsMax:       128,
		SubscriptionsMax:     10_000,
		SessionsMax:          100_000,
		SessionExpiry:        14 * 24 * time.Hour,
		ReceiveMaximum:       256,
		TopicAliasMax:        32,
		TopicAliasOutMax:     32,
		KeepAliveMax:         20 * time.Minute,
		RetainedMessagesMax:  1_000_000,
		RetainedBytesMax:     256 << 20,
		LateBytesMax:         256 << 10,
		SlowTimeout:          time.Minute,
		AckTimeout:           time.Minute,
		HoldTimeout:          20 * time.Second,
		TakeoversMax:         5,
		SysInterval:          10 * time.Second,
		RetainedPassMax:      256,
	}
}

// LimitRow is one limit: options, defaults, checks, documentation and counters
// come from it.
type LimitRow struct {
	ID     LimitID
	Name   string            // option name
	Field  func(*Limits) any // *int or *time.Duration
	Most   int               // largest value that makes sense; 0 = no such
	Effect string            // what reaching it does
	Why    string            // why this default
}

// ZeroAllowed says that 0 is a value, and not a mistake: nothing is limited.
func (row LimitRow) ZeroAllowed() bool { return row.ID == LimitMemory }

// IsSize says that the value is a number of bytes.
func (row LimitRow) IsSize() bool {
	return strings.Contains(row.Name, "bytes") || row.ID == LimitMemory
}

// LimitID indexes Stats.LimitHits.
type LimitID int

// One LimitID for each row of LimitRows, in its order.
const (
	LimitPacketBytes LimitID = iota
	LimitConnectBytes
	LimitConnectTimeout
	LimitClientIDBytes
	LimitInflight
	LimitQueuedMessages
	LimitQueuedBytes
	LimitQueuedTotal
	LimitQueuedWindow
	LimitQueuedWindowBytes
	LimitTopicBytes
	LimitTopicLevels
	LimitSubscriptions
	LimitSessions
	LimitSessionExpiry
	LimitReceiveMaximum
	LimitTopicAlias
	LimitTopicAliasOut
	LimitKeepAlive
	LimitRetainedMessages
	LimitRetainedBytes
	LimitLateBytes
	LimitSlowTimeout
	LimitAckTimeout
	LimitHoldTimeout
	LimitTakeovers
	LimitSysInterval
	LimitMemory
	LimitRetainedPass
	limitCount
)

// retainedEffect is what becomes of a message that cannot be retained.
const retainedEffect = "5.0, QoS 1 and 2: refused with 0x97; else delivered, and its topic has no retained message any more"

// LimitRows returns the table of limits, in the order of LimitID.
func LimitRows() []LimitRow {
	return []LimitRow{
		{LimitPacketBytes, "packet-bytes-max", func(l *Limits) any { return &l.PacketBytesMax }, 268_435_460, "disconnect", "one packet is held whole; larger needs an explicit choice; 267_386_884 with a state directory, whose records need room"},
		{LimitConnectBytes, "connect-bytes-max", func(l *Limits) any { return &l.ConnectBytesMax }, 1 << 20, "disconnect", "nobody has shown who he is yet; room for a will, a name and a token"},
		{LimitConnectTimeout, "connect-timeout", func(l *Limits) any { return &l.ConnectTimeout }, 0, "disconnect", "a slow radio link needs seconds, an idle socket is an attack"},
		{LimitClientIDBytes, "client-id-bytes-max", func(l *Limits) any { return &l.ClientIDBytesMax }, 65_535, "CONNACK 2, disconnect", "identifiers are kept with the session and written to logs"},
		{LimitInflight, "inflight-max", func(l *Limits) any { return &l.InflightMax }, 65_535, "delivery waits in the queue", "enough for a fast link, small enough that a reconnect repeats little"},
		{LimitQueuedMessages, "queued-messages-max", func(l *Limits) any { return &l.QueuedMessagesMax }, 0, "oldest message dropped, or what queue-full says", "a week of one message every ten minutes"},
		{LimitQueuedBytes, "queued-bytes-max", func(l *Limits) any { return &l.QueuedBytesMax }, 0, "oldest message dropped, or what queue-full says", "a thousand messages of 8 kB"},
		{LimitQueuedTotal, "queued-total-max", func(l *Limits) any { return &l.QueuedTotalMax }, 0, "the session's oldest message dropped, or what queue-full says; the new one where none waits for the session", "messages of all sessions, in memory and on disk; as many as sessions-max sessions may have"},
		{LimitQueuedWindow, "queued-window-max", func(l *Limits) any { return &l.QueuedWindowMax }, 0, "the rest waits on disk only", "used with a state directory; four windows of messages in flight, so that the next are read while these leave"},
		{LimitQueuedWindowBytes, "queued-window-bytes-max", func(l *Limits) any { return &l.QueuedWindowBytesMax }, 0, "the rest waits on disk only", "used with a state directory; a message has a place, however long"},
		{LimitTopicBytes, "topic-bytes-max", func(l *Limits) any { return &l.TopicBytesMax }, 65_535, "PUBLISH: disconnect; SUBSCRIBE: SUBACK 0x80", "far above any naming scheme in use"},
		{LimitTopicLevels, "topic-levels-max", func(l *Limits) any { return &l.TopicLevelsMax }, 65_536, "PUBLISH: disconnect; SUBSCRIBE: SUBACK 0x80", "bounds the walk through the index"},
		{LimitSubscriptions, "subscriptions-max", func(l *Limits) any { return &l.SubscriptionsMax }, 0, "SUBACK 0x80", "per session; a bridge may want thousands, a device does not"},
		{LimitSessions, "sessions-max", func(l *Limits) any { return &l.SessionsMax }, 0, "the session that is away longest is dropped", "sessions without a connection; random client identifiers fill memory otherwise"},
		{LimitSessionExpiry, "session-expiry", func(l *Limits) any { return &l.SessionExpiry }, 0, "session dropped; 5.0: a longer wish is cut, CONNACK tells", "longer than a holiday, shorter than for ever"},
		{LimitReceiveMaximum, "receive-maximum", func(l *Limits) any { return &l.ReceiveMaximum }, 65_535, "beyond twice as many: DISCONNECT 0x93", "deep enough for a batch of commits; clients that count differently are not cut off at once"},
		{LimitTopicAlias, "topic-alias-max", func(l *Limits) any { return &l.TopicAliasMax }, 65_535, "DISCONNECT 0x94", "a device publishes to few topics; each alias holds a topic in memory"},
		{LimitTopicAliasOut, "topic-alias-out-max", func(l *Limits) any { return &l.TopicAliasOutMax }, 65_535, "topics received less are sent in full", "the topics that a client receives most"},
		{LimitKeepAlive, "keep-alive-max", func(l *Limits) any { return &l.KeepAliveMax }, 0, "5.0: Server Keep Alive in CONNACK, also for keep alive 0 unless this is longer than 65535s; 3.x: none", "a dead connection is noticed within half an hour"},
		{LimitRetainedMessages, "retained-messages-max", func(l *Limits) any { return &l.RetainedMessagesMax }, 0, retainedEffect, "retained topics never go away by themselves"},
		{LimitRetainedBytes, "retained-bytes-max", func(l *Limits) any { return &l.RetainedBytesMax }, 0, retainedEffect, "a quarter of the memory of a small gateway"},
		{LimitLateBytes, "late-bytes-max", func(l *Limits) any { return &l.LateBytesMax }, 0, "oldest QoS 0 message dropped, or the newest if queue-full says so", "as much again as the output buffer; a reader that catches up finds the latest values"},
		{LimitSlowTimeout, "slow-timeout", func(l *Limits) any { return &l.SlowTimeout }, 0, "disconnect, 0x97; from 80 % of memory-limit on disconnect, 0x89, if a packet was begun and does not go on", "a dead peer is not found by keep alive alone while its own packets still come"},
		{LimitAckTimeout, "ack-timeout", func(l *Limits) any { return &l.AckTimeout }, 0, "reported", "acknowledgements take milliseconds, or the client has forgotten them"},
		{LimitHoldTimeout, "hold-timeout", func(l *Limits) any { return &l.HoldTimeout }, 0, "5.0: messages with QoS 1 and 2 are refused with 0x97 until there is room; 3.x, which cannot be told: not read from until then", "near memory-limit, or with a disk that does not follow; shorter than the keep alive after which clients give up"},
		{LimitTakeovers, "takeovers-max", func(l *Limits) any { return &l.TakeoversMax }, 0, "the next CONNECT with that identifier waits a second", "two clients with one name throw each other out for ever otherwise"},
		{LimitSysInterval, "sys-interval", func(l *Limits) any { return &l.SysInterval }, 0, "what changed is published", "as Mosquitto; nothing is sent while nobody is subscribed to $SYS"},
		{LimitMemory, "memory-limit", func(l *Limits) any { return &l.MemoryBytesMax }, 0, "backlogs cut, publishers slowed down, sessions of absent clients dropped, connections, new filters and retained topics refused (these already where they fill 40 % of it), clients with more than 16 KiB of a packet under way disconnected, and after hold-timeout those that hold most", "for the daemon half of what the machine or its cgroup has; 0 where LoopMQ is embedded: not looked at"},
		{LimitRetainedPass, "retained-pass-max", func(l *Limits) any { return &l.RetainedPassMax }, 0, "the rest follows in the next pass", "one subscriber to # must not hold the loop"},
	}
}

// Over is l where it says something, and otherwise general; nil where it says
// nothing.
func (l Limits) Over(general Limits) *Limits {
	if l == (Limits{}) {
		return nil
	}
	l = l.filled(general.withDefaults())
	return &l
}

// withDefaults fills zero fields.
func (l Limits) withDefaults() Limits { return l.filled(DefaultLimits()) }

// filled takes zero fields from other.
func (l Limits) filled(other Limits) Limits {
	for _, row := range LimitRows() {
		switch v := row.Field(&l).(type) {
		case *int:
			if *v == 0 {
				*v = *row.Field(&other).(*int)
			}
		case *time.Duration:
			if *v == 0 {
				*v = *row.Field(&other).(*time.Duration)
			}
		}
	}
	return l
}

// Validate says which limit has a value that makes no sense. Zero is the
// default and always allowed.
func (l Limits) Validate() error {
	for _, row := range LimitRows() {
		switch v := row.Field(&l).(type) {
		case *int:
			if *v < 0 || row.Most > 0 && *v > row.Most {
				most := "any"
				if row.Most > 0 {
					most = strconv.Itoa(row.Most)
				}
				return fmt.Errorf("%s %d: must be 1 to %s", row.Name, *v, most)
			}
		case *time.Duration:
			if *v < 0 {
				return fmt.Errorf("%s %s: must be more than 0", row.Name, *v)
			}
		}
	}
	return nil
}
