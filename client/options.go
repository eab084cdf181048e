package client

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/loopmq/loopmq/codec"
)

// Message is one application message.
type Message struct {
	Topic    string
	Payload  []byte
	QoS      byte
	Retain   bool
	Dup      bool             // of a received message only, like PacketID
	PacketID uint16           // with QoS > 0
	Props    codec.Properties // 5.0
}

// Options say where to connect and how. URL is required.
type Options struct {
	// URL is mqtt://HOST[:1883], mqtts://HOST[:8883], ws://HOST[:80][/mqtt],
	// wss://HOST[:443][/mqtt] or unix:///PATH; tcp, ssl and tls are taken as
	// well. It may hold USER:PASSWORD@.
	URL      string
	ClientID string // empty: the server makes one, which 3.1 does not allow
	Username string // "" with a nil Password: none
	Password []byte
	// CleanStart begins without an old session; in 3.x the new one ends with
	// the connection too.
	CleanStart bool
	// KeepAlive is the longest silence, in whole seconds up to 65535; 0: 60 s,
	// below 0: any.
	KeepAlive time.Duration
	Version   codec.Version    // 0: 3.1.1
	Will      *Message         // its Props are the will properties
	Props     codec.Properties // of CONNECT in 5.0
	TLS       *tls.Config      // nil: the system's roots and the URL's host name
	// Header is sent with the request that opens a WebSocket, besides what
	// makes it one.
	Header http.Header
	// ConnectTimeout bounds everything up to CONNACK; 0: 10 s.
	ConnectTimeout time.Duration
	// InflightMax is how many messages of QoS 1 and 2 are sent and not
	// finished; 0: 20. A 5.0 server may ask for fewer.
	InflightMax int
	// PacketBytesMax is the largest packet taken from the server; 0: what MQTT
	// allows.
	PacketBytesMax int
	// OnMessage is called for each message, in order, on the reading
	// goroutine; the acknowledgement leaves when it has returned. The message
	// and what it holds are the callee's. It must not wait for an answer of
	// the server on this Client, nor close it: false does that, once the
	// message is acknowledged. nil: messages are not taken; those of QoS 1 and 2
	// stay in the session, as they are not acknowledged.
	OnMessage func(*Message) (more bool)
	// Dial opens the connection below TLS; nil: a net.Dialer.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// OnStage hears from Dial that a stage is complete: first the connection
	// of the network, then TLS and WebSocket if the URL asks for them. conn is
	// not to be used, only looked at.
	OnStage func(s Stage, conn net.Conn)
}

// Stage is a part of Dial's way to CONNECT.
type Stage byte

// Stages in their order.
const (
	StageNetwork   Stage = iota // TCP or unix socket
	StageTLS                    // conn is a *tls.Conn
	StageWebSocket              // the server speaks subprotocol mqtt
)

// Defaults of Options.
const (
	defaultKeepAlive      = 60 * time.Second
	defaultConnectTimeout = 10 * time.Second
	defaultInflightMax    = 20
)

// withDefaults fills what was left out and checks the rest.
func (o Options) withDefaults() (Options, Server, error) {
	s, err := ParseURL(o.URL)
	if err != nil {
		return o, s, err
	}
	if o.Username == "" && o.Password == nil {
		o.Username, o.Password = s.Username, s.Password
	}
	if o.Version == 0 {
		o.Version = codec.V311
	}
	if o.KeepAlive == 0 {
		o.KeepAlive = defaultKeepAlive
	}
	if o.ConnectTimeout == 0 {
		o.ConnectTimeout = defaultConnectTimeout
	}
	if o.InflightMax == 0 {
		o.InflightMax = defaultInflightMax
	}
	if o.PacketBytesMax == 0 {
		o.PacketBytesMax = codec.MaxPacketBytes
	}
	switch {
	case o.Version < codec.V31 || o.Version > codec.V5:
		return o, s, fmt.Errorf("protocol level %d: use 3, 4 or 5", byte(o.Version))
	case o.KeepAlive > 65535*time.Second:
		return o, s, fmt.Errorf("keep alive of %s: at most 65535s", o.KeepAlive)
	case o.InflightMax < 1 || o.InflightMax > 65535:
		return o, s, fmt.Errorf("%d messages in flight: 1 to 65535", o.InflightMax)
	case o.Version != codec.V5 && o.Username == "" && o.Password != nil:
		return o, s, fmt.Errorf("a password without a user name, which MQTT %v does not allow", o.Version)
	case len(o.ClientID) > 65535 || len(o.Username) > 65535 || len(o.Password) > 65535:
		return o, s, fmt.Errorf("ClientID, user name and password have at most 65535 bytes each")
	}
	if o.Will != nil {
		if err := o.Will.Check(); err != nil {
			return o, s, fmt.Errorf("will: %w", err)
		}
		if len(o.Will.Payload) > textBytesMax {
			return o, s, fmt.Errorf("will: payload of %d bytes: at most %d", len(o.Will.Payload), textBytesMax)
		}
	}
	return o, s, checkProps(&o.Props)
}

// Check says what is wrong with a message to be sent.
func (m *Message) Check() error {
	switch {
	case m.QoS > 2:
		return fmt.Errorf("QoS %d: use 0, 1 or 2", m.QoS)
	case len(m.Topic) > 65535:
		return fmt.Errorf("topic of %d bytes: at most 65535", len(m.Topic))
	case m.Topic == "" && !m.Props.Has.Has(codec.PropTopicAlias):
		return fmt.Errorf("topic is empty")
	case strings.ContainsAny(m.Topic, "+#\x00"):
		return fmt.Errorf("topic %q: a topic that is published to has no + or #", m.Topic)
	case len(m.Payload) > codec.MaxPacketBytes-65535-16:
		return fmt.Errorf("payload of %d bytes is more than a packet can hold", len(m.Payload))
	case m.Props.Has != 0:
		return checkProps(&m.Props)
	}
	return nil
}

// connect is the CONNECT packet of the options.
func (o *Options) connect() []byte {
	keep := max(0, o.KeepAlive)
	p := codec.Connect{
		Version: o.Version, CleanStart: o.CleanStart, KeepAliveSeconds: uint16(keep / time.Second),
		ClientID: []byte(o.ClientID), Props: o.Props,
		HasUsername: o.Username != "", Username: []byte(o.Username),
		HasPassword: o.Password != nil, Password: o.Password,
	}
	if w := o.Will; w != nil {
		p.HasWill, p.WillQoS, p.WillRetain = true, w.QoS, w.Retain
		p.WillTopic, p.WillPayload, p.WillProps = []byte(w.Topic), w.Payload, w.Props
	}
	return codec.AppendConnect(nil, &p)
}
