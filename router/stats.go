package router

// Stats counts what the router did since it started. Read it on the loop.
type Stats struct {
	Connects       uint64 // CONNECTs answered with success
	Refused        uint64 // CONNECTs answered with a return code other than 0
	Disconnects    uint64 // connections that ended after a successful CONNECT
	Takeovers      uint64 // connections closed because their client identifier came again
	ProtocolErrors uint64 // connections closed for what they sent

	PacketsIn       uint64 // whole packets received
	Answers         uint64 // packets sent that are no PUBLISH
	PayloadBytesIn  uint64 // of PUBLISH packets received
	PayloadBytesOut uint64 // of PUBLISH packets sent
	Expired         uint64 // sessions that reached their expiry

	Published   [3]uint64 // PUBLISH packets received, by QoS
	Delivered   [3]uint64 // PUBLISH packets sent, by QoS, repeats included
	Duplicates  uint64    // QoS 2 PUBLISH packets received again before their PUBREL
	Unmatched   uint64    // PUBLISH packets without a subscriber
	StrayAcks   uint64    // acknowledgements for a PacketID that is not open
	WillsSent   uint64
	DollarDrops uint64 // PUBLISH packets of clients to topics beginning with $

	NegativeAcks    uint64 // PUBACK and PUBREC of clients with a failure
	PassedOn        uint64 // messages of a shared subscription that went to another member
	AliasBytesSaved uint64 // topic bytes not sent thanks to Topic Aliases
	AuthFailures    uint64 // clients that could not show who they are
	OverQuota       uint64 // times that a client or user wanted more than its quota
	Trims           uint64 // backlogs cut because of the memory limit
	Purged          uint64 // sessions of absent clients dropped because of it
	Shed            uint64 // clients disconnected because of it
	Held            uint64 // times that a publisher was not read from because of it
	ThrownOut       uint64 // clients disconnected because more waited for them than may
	HeldTooLong     uint64 // times that one was told that there is no room
	HeldTurns       uint64 // times that one was read from again before there was enough
	Denied          uint64 // what clients wanted to do and were not allowed to

	Dropped   [dropCount]uint64 // messages not delivered, by DropReason
	LimitHits [limitCount]uint64

	Clients       int   // connections past CONNECT
	Sessions      int   // sessions, connected or not
	Subscriptions int   // filters of all sessions
	Retained      int   // topics with a retained message
	RetainedBytes int   // their topics and payloads
	QueuedBytes   int64 // topics and payloads waiting in all sessions' queues, in memory
	LateBytes     int64 // topics and payloads of QoS 0 messages waiting for slow clients
	Late          int   // QoS 0 messages waiting for slow clients
	Queued        int   // messages waiting in all sessions' queues
	Inflight      int   // messages sent and not yet acknowledged

	QueuedOnDisk    int   // of those waiting: on disk only
	QueuedDiskBytes int64 // their topics and payloads
}

// DropReason says why a message did not reach a session.
type DropReason int

// The reasons for a drop.
const (
	DropQueueFull      DropReason = iota // the session's queue reached its limit, or all queues together theirs
	DropOutputFull                       // QoS 0 and the connection's output is full
	DropTooLarge                         // larger than the session's whole queue may be
	DropSession                          // queued for a session that ended
	DropExpired                          // its Message Expiry was over
	DropPacketTooLarge                   // larger than the client's Maximum Packet Size
	DropMemory                           // the broker came near its memory limit
	DropNoRight                          // the session may not receive it, or its writer may no longer publish it
	DropNoMember                         // QoS 0 and no member of the shared subscription could take it
	DropUnreadable                       // the store cannot read it any more
	dropCount
)

// option is what to change so that it happens less; "" for nothing of the kind.
func (d DropReason) option() string {
	switch d {
	case DropQueueFull:
		return "queued-messages-max, queued-bytes-max, queued-total-max"
	case DropTooLarge:
		return "queued-bytes-max"
	case DropOutputFull:
		return "late-bytes-max"
	case DropMemory:
		return "memory-limit"
	}
	return ""
}

func (d DropReason) String() string {
	switch d {
	case DropQueueFull:
		return "queue full"
	case DropOutputFull:
		return "output full"
	case DropTooLarge:
		return "too large"
	case DropSession:
		return "session ended"
	case DropExpired:
		return "expired"
	case DropPacketTooLarge:
		return "larger than the client takes"
	case DropMemory:
		return "memory limit"
	case DropNoRight:
		return "no right to it any more"
	case DropNoMember:
		return "no member of the group could take it"
	case DropUnreadable:
		return "cannot be read from the store"
	}
	return "unknown"
}

// Stats returns the counters with the gauges brought up to date.
func (r *Router) Stats() *Stats {
	s := &r.stats
	s.Sessions = len(r.sessions)
	s.Subscriptions = r.index.Len() - len(r.shares) + r.sharedSubs
	for _, g := range r.graves {
		s.Subscriptions -= g.filters
	}
	s.Retained = r.retained.Len()
	return s
}

// delivered counts a PUBLISH that was sent.
func (r *Router) delivered(qos byte, payloadBytes int) {
	r.stats.Delivered[qos]++
	r.stats.PayloadBytesOut += uint64(payloadBytes)
}

// hit counts a limit that took effect.
func (r *Router) hit(id LimitID) { r.stats.LimitHits[id]++ }

// drop counts a message that s does not get.
func (r *Router) drop(s *Session, why DropReason, topic []byte) {
	r.stats.Dropped[why]++
	k := s.seldom()
	k.dropped++
	// The first ones are told, then fewer and fewer, so that a slow reader cannot
	// fill the log. Of what a start found of ended sessions it has said how much.
	if s.id != "" && worthTelling(k.dropped) {
		e := Event{Kind: EventDrop, ClientID: s.id, Detail: why.String(), Option: why.option(), Topic: string(topic), Count: k.dropped}
		if s.client != nil {
			e.Peer = s.client.peer
		}
		r.event(&e)
	}
}
