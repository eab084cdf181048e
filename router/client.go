package router

import (
	"errors"

	"github.com/loopmq/loopmq/codec"
	"github.com/loopmq/loopmq/internal/timer"
)

// Client is one connection, from its accept to its close. It is the loop's
// handler for that connection.
type Client struct {
	r       *Router
	conn    Conn
	session *Session // nil before CONNECT and after a takeover
	v5      *peer5   // what only 5.0 has; nil for 3.x
	aliases *aliasTable
	id      string
	peer    Peer
	will    *will
	waits   *waits  // nil: no answer waits for a commit
	rare    *rarely // nil: none of that

	prev, next *Client // Router.clients

	timer     timer.Timer // CONNECT deadline, then keep alive
	packetMax int32       // bytes of a packet from the client; small until CONNECT is accepted
	sendMax   int32       // bytes of a packet to the client [MQTT-3.1.2-24]
	window    int32       // messages with QoS > 0 that may be sent and not finished
	partAt    uint32      // s, rounded up, when a packet that is not whole has last grown; 0: there is none
	keepAlive uint16      // s; 0 = none
	seenAt    int64       // ns, when the last whole packet came
	version   codec.Version
	group     formGroup
	connected bool // CONNECT was accepted
	behind    bool // QoS 0 messages are late: new ones must not overtake them
	paused    byte // why it is not read from; 0: it is
	waiting   bool // for the verdict on its CONNECT
	closing   bool // Close was called; nothing is handled any more
	orderly   bool // ended by a DISCONNECT packet
}

// Why a client is not read from.
const (
	pausedByMemory = 1 << iota
	pausedByRate
	pausedByWork // its packet is done in pieces
)

// rarely is what few connections have.
type rarely struct {
	stuck   *stuck    // nil: it takes what it is sent
	held    *held     // nil: its CONNECT does not wait in a duel
	expires *lifetime // nil: the connection may last for ever
	pace    *pace     // nil: no rate is set
	use     *userUse  // nil: its user has no quota
	quota   Quota
	overdue uint64 // memory.times, when it had been held back for HoldTimeout; see hold.go
	denied  uint64 // what it wanted to do and was not allowed to
}

// seldom returns what few connections have, to write to.
func (c *Client) seldom() *rarely {
	if c.rare == nil {
		c.rare = new(rarely)
	}
	return c.rare
}

// limits are those of the listener through which the client came.
func (c *Client) limits() *Limits {
	if l := c.peer.Listener; l != nil && l.Limits != nil {
		return l.Limits
	}
	return &c.r.limits
}

// peer5 is what a connection has in 5.0 only.
type peer5 struct {
	aliasesIn [][]byte // topic of each alias that the client set
	problem   bool     // Request Problem Information: reason strings are welcome
	crowded   bool     // went over our Receive Maximum, which is told once

	// What CONNACK said: it holds for the connection, whatever a reload does.
	receiveMax, aliasMax uint16

	auth    *authentication // nil where none was asked for
	pending []byte          // CONNECT that waits for the end of its authentication
}

// Through says that the connection goes through conn from now on, with what
// has become known of the peer: TLS, WebSocket or a PROXY header came first.
// CONNECT has not come yet, and the time for it goes on.
func (c *Client) Through(conn Conn, from Peer) { c.conn, c.peer = conn, from }

// Data handles the packets in view and returns how many bytes they had.
//
// hot: one call for each read of the connection.
func (c *Client) Data(view []byte) (used int, err error) {
	r := c.r
	c.partAt = 0
	for toil, visited := r.next(); !c.closing && !c.waiting && c.paused == 0; {
		if r.toil > toil || r.visited > visited {
			c.conn.Pause() // the rest comes in the next pass, after everybody else
			c.conn.Resume()
			break
		}
		k, n, err := codec.Next(view[used:], int(c.packetMax))
		if err != nil {
			return used, c.fail(c.stranger(view, err))
		}
		if n == 0 {
			c.holdsPart(len(view) - used)
			break
		}
		used += n
		c.seenAt = r.now
		r.toil++
		r.stats.PacketsIn++
		if err := c.handle(&k); err != nil {
			return used, c.fail(c.stranger(view, err))
		}
	}
	return used, nil
}

// handle dispatches one packet.
//
// hot: no allocation but those of the handlers.
func (c *Client) handle(k *codec.Packet) error {
	if !c.connected {
		return c.handleFirst(k)
	}
	if c.v5 != nil && !k.Minimal() {
		return errLongLength
	}
	switch k.Type {
	case codec.TypePublish:
		return c.handlePublish(k)
	case codec.TypePuback:
		return c.handlePuback(k)
	case codec.TypePubrec:
		return c.handlePubrec(k)
	case codec.TypePubrel:
		return c.handlePubrel(k)
	case codec.TypePubcomp:
		return c.handlePubcomp(k)
	case codec.TypeSubscribe:
		return c.handleSubscribe(k)
	case codec.TypeUnsubscribe:
		return c.handleUnsubscribe(k)
	case codec.TypePingreq:
		return c.answerPing() // [MQTT-3.12.4-1]
	case codec.TypeDisconnect:
		return c.handleDisconnect(k)
	case codec.TypeAuth:
		return c.handleAuth(k)
	case codec.TypeConnect:
		return errConnectTwice
	}
	return errServerPacket
}

// handleFirst dispatches what comes before CONNECT is accepted.
func (c *Client) handleFirst(k *codec.Packet) error {
	switch {
	case c.v5 != nil && k.Type == codec.TypeAuth:
		return c.handleAuth(k)
	case c.v5 != nil && k.Type == codec.TypeDisconnect:
		return c.handleDisconnect(k)
	case c.v5 == nil && k.Type == codec.TypeConnect:
		return c.handleConnect(k)
	}
	return errNotConnected
}

// fail is the one way out after an error in what the peer sent
// [MQTT-4.8.0-1]. It returns err for the loop, which closes the connection
// after flushing.
func (c *Client) fail(err error) error {
	if c.closing {
		return err
	}
	c.r.stats.ProtocolErrors++
	if e, ok := errors.AsType[*codec.Error](err); ok && e.Reason == codec.PacketTooLarge {
		if c.connected {
			c.r.hit(LimitPacketBytes)
		} else {
			c.r.hit(LimitConnectBytes)
		}
	}
	c.farewell(err)
	c.closing = true
	return err
}

// close ends the connection from our side; nil after the client's DISCONNECT.
func (c *Client) close(why error) {
	if c.closing {
		return
	}
	if why != nil {
		c.farewell(why)
	}
	c.closing = true
	c.conn.Close(why)
}

// Drained is called when the connection's output has room again.
func (c *Client) Drained() {
	if c.session != nil && !c.closing {
		c.r.pump(c.session)
		c.r.gotRoom(c)
	}
}

// Closed is the last call: the connection is gone.
func (c *Client) Closed(why error) {
	c.closing = true
	c.r.timers.Stop(&c.timer)
	c.r.memory.aliases -= c.aliasMemory()
	if c.v5 != nil {
		c.r.memory.pending -= int64(len(c.v5.pending))
	}
	if k := c.rare; k != nil {
		if k.held != nil && k.held.timer.Armed() {
			c.r.timers.Stop(&k.held.timer)
			c.r.memory.pending -= int64(len(k.held.raw))
		}
		if k.expires != nil {
			c.r.timers.Stop(&k.expires.timer)
		}
	}
	c.r.clients.remove(c)
	c.r.keep.dropWaits(c)
	c.unrestrict()
	if !c.connected {
		c.dropWill()
		c.r.event(&Event{Kind: EventRefuse, ClientID: c.id, Peer: c.peer, Err: why})
		return
	}
	c.r.stats.Disconnects++
	c.r.stats.Clients--
	e := Event{Kind: EventDisconnect, ClientID: c.id, Peer: c.peer, Err: why}
	if c.orderly {
		e.Err = nil
	}
	if c.session != nil {
		e.Dropped = c.session.losses()
	}
	c.r.event(&e)
	c.r.detach(c)
}

// silenceMax is how many ns of silence are too many [MQTT-3.1.2-24].
func (c *Client) silenceMax() int64 { return int64(c.keepAlive) * 1_500_000_000 }

// Due is called when the CONNECT deadline or the keep alive may have passed.
// Packets do not move the timer, they only note the time: a busy client costs
// no timer work.
func (c *Client) Due(now int64) {
	switch {
	case !c.connected:
		c.r.hit(LimitConnectTimeout)
		c.close(errConnectTimeout)
	case c.paused != 0: // its silence is ours; who lets it go on begins anew
		c.r.timers.Set(&c.timer, c, c.r.after(c.silenceMax()))
	case now-c.seenAt >= c.silenceMax():
		c.close(errKeepAlive)
	default:
		c.r.timers.Set(&c.timer, c, c.seenAt+c.silenceMax())
	}
}
