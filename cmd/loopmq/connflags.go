package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"math"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/loopmq/loopmq/client"
	"github.com/loopmq/loopmq/codec"
)

// tokenBytes is the length of a name that nobody else should have: five bits
// a letter. 3.1 allows 23 bytes for a whole client identifier.
const tokenBytes = 13

// connFlags are the flags of every client about how to connect. Letters and
// names are those of Mosquitto's clients.
func connFlags(defaultVersion string) []cli.Flag {
	const cat = "connection"
	return append(doorFlags(), []cli.Flag{
		&cli.StringFlag{Category: cat, Name: "host", Aliases: []string{"h"}, Value: "localhost", Usage: "`HOST` to connect to"},
		&cli.IntFlag{Category: cat, Name: "port", Aliases: []string{"p"}, Usage: "`PORT` to connect to; 1883, with TLS 8883, with --ws 8083, with both 8084"},
		&cli.BoolFlag{Category: cat, Name: "ws", Usage: "connect to -h and -p through WebSocket, path " + client.DefaultWebSocketPath},
		&cli.StringFlag{Category: cat, Name: "unix", Usage: "unix socket `PATH` to connect to"},
		&cli.StringFlag{Category: cat, Name: "url", Aliases: []string{"L"}, Usage: "mqtt(s)://[USER[:PASSWORD]@]HOST[:PORT][/TOPIC], ws(s)://HOST[:PORT][/PATH] or unix:///PATH as one `URL`"},
		&cli.StringFlag{Category: cat, Name: "bind", Aliases: []string{"A"}, Usage: "local `ADDRESS` to connect from"},
		&cli.BoolFlag{Category: cat, Name: "retry", Usage: "if there is no connection, try again, with growing pauses, until there is one or the server refuses the login"},
		&cli.BoolFlag{Category: cat, Name: "nodelay", Usage: "taken for compatibility; small packets never wait here"},
		&cli.StringFlag{Category: cat, Name: "id", Aliases: []string{"i"}, Usage: "client identifier"},
		&cli.StringFlag{Category: cat, Name: "id-prefix", Aliases: []string{"I"}, Usage: "client identifier is this `PREFIX` and the process number"},
		&cli.StringFlag{Category: cat, Name: "username", Aliases: []string{"u"}, Usage: "user `NAME`"},
		&cli.StringFlag{Category: cat, Name: "pw", Aliases: []string{"P"}, Usage: "`PASSWORD`"},
		&cli.IntFlag{Category: cat, Name: "keepalive", Aliases: []string{"k"}, Value: 60, Usage: "keep alive in `SECONDS`; 0 for none"},
		&cli.StringFlag{Category: cat, Name: "protocol-version", Aliases: []string{"V"}, Value: defaultVersion, Usage: "`VERSION` of MQTT: mqttv31, mqttv311 or mqttv5 (or 31, 311, 5)"},
		&cli.BoolFlag{Category: cat, Name: "disable-clean-session", Aliases: []string{"c"}, Usage: "keep the session when the connection ends; needs -i"},
		&cli.StringFlag{Category: cat, Name: "session-expiry-interval", Aliases: []string{"x"}, Usage: "`SECONDS` that the session outlives the connection (MQTT 5.0); -1 for ever"},
		&cli.StringSliceFlag{Category: cat, Name: "property", Aliases: []string{"D"}, Usage: "`PACKET PROPERTY VALUE` (MQTT 5.0); a user property has a name before its value"},
		&cli.StringFlag{Category: "will", Name: "will-topic", Usage: "`TOPIC` of the will"},
		&cli.StringFlag{Category: "will", Name: "will-payload", Usage: "`PAYLOAD` of the will"},
		&cli.IntFlag{Category: "will", Name: "will-qos", Usage: "`QOS` of the will"},
		&cli.BoolFlag{Category: "will", Name: "will-retain", Usage: "retain the will"},
		&cli.BoolFlag{Name: "debug", Aliases: []string{"d"}, Usage: "tell what happens on standard error"},
		&cli.BoolFlag{Name: "quiet", Usage: "no messages about errors, only the exit status"},
	}...)
}

// connection is what the flags of connFlags say.
type connection struct {
	client.Options
	server client.Server // what the URL says
	props  *properties
	topic  string // of the URL
}

// readConnection reads the flags of connFlags.
func readConnection(c *cli.Context) (*connection, error) {
	conn := &connection{}
	var err error
	if conn.props, err = parseProperties(c.StringSlice("property")); err != nil {
		return nil, err
	}
	if err = conn.readServer(c); err != nil {
		return nil, err
	}
	if err = conn.readDoor(c); err != nil {
		return nil, err
	}
	if conn.Version, err = parseVersion(c.String("protocol-version")); err != nil {
		return nil, err
	}
	if conn.Version != codec.V5 && conn.props.any() {
		return nil, errors.New("-D: properties need MQTT 5.0; add -V mqttv5")
	}
	if c.IsSet("username") {
		conn.Username = c.String("username")
	}
	if c.IsSet("pw") {
		conn.Password = []byte(c.String("pw"))
	}
	switch n := c.Int("keepalive"); {
	case n < 0 || n > 65535:
		return nil, fmt.Errorf("-k %d: 0 to 65535 seconds", n)
	case n == 0:
		conn.KeepAlive = -1
	default:
		conn.KeepAlive = time.Duration(n) * time.Second
	}
	conn.Props = conn.props.connect
	if err = conn.readSession(c); err != nil {
		return nil, err
	}
	return conn, conn.readWill(c)
}

// readServer says where to: -L, or --unix, or -h, -p and --ws.
func (conn *connection) readServer(c *cli.Context) error {
	raw, flag := c.String("url"), "-L: "
	if path := c.String("unix"); raw == "" && path != "" {
		raw, flag = unixURL(path), "--unix: "
	}
	if raw == "" {
		var err error
		if raw, err = hostURL(c); err != nil {
			return err
		}
	} else if c.Bool("ws") {
		return errors.New("--ws belongs to -h and -p; write ws:// or wss:// in the URL")
	}
	if err := conn.readURL(c, raw); err != nil {
		return fmt.Errorf("%s%w", flag, err)
	}
	if from := c.String("bind"); from != "" {
		ip := net.ParseIP(from)
		if ip == nil {
			return fmt.Errorf("-A %q: not an IP address", from)
		}
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: ip}}
		conn.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			return d.DialContext(ctx, network, address)
		}
	}
	return nil
}

// noTopic is the mistake of a command line without a topic.
func (conn *connection) noTopic() error {
	if conn.server.WebSocket {
		return errors.New("no topic; add -t (the path of a ws URL is the WebSocket's)")
	}
	return errors.New("no topic; add -t")
}

// readSession reads client identifier and session flags.
func (conn *connection) readSession(c *cli.Context) error {
	conn.CleanStart = !c.Bool("disable-clean-session")
	conn.ClientID = c.String("id")
	if prefix := c.String("id-prefix"); prefix != "" {
		if conn.ClientID != "" {
			return errors.New("-i and -I together")
		}
		conn.ClientID = prefix + strconv.Itoa(os.Getpid())
	}
	if conn.ClientID == "" {
		if !conn.CleanStart {
			return errors.New("-c keeps a session, which needs a client identifier: add -i")
		}
		conn.ClientID = "loopmq-" + strings.ToLower(rand.Text()[:tokenBytes])
	}
	expiry := uint32(0)
	if !conn.CleanStart {
		expiry = math.MaxUint32
	}
	if x := c.String("session-expiry-interval"); x == "-1" || x == "∞" {
		expiry = math.MaxUint32
	} else if x != "" {
		n, err := strconv.ParseUint(x, 10, 32)
		if err != nil {
			return fmt.Errorf("-x %q: seconds of 0 to 4294967295, or -1", x)
		}
		expiry = uint32(n)
	}
	if conn.Version == codec.V5 && expiry > 0 && !conn.Props.Has.Has(codec.PropSessionExpiry) {
		conn.Props.SessionExpirySeconds = expiry
		conn.Props.Has = conn.Props.Has.Add(codec.PropSessionExpiry)
	}
	return nil
}

func (conn *connection) readWill(c *cli.Context) error {
	topic := c.String("will-topic")
	if topic == "" {
		if c.IsSet("will-payload") || c.IsSet("will-qos") || c.Bool("will-retain") {
			return errors.New("a will needs --will-topic")
		}
		return nil
	}
	qos, err := readQoS(c, "will-qos")
	conn.Will = &client.Message{
		Topic: topic, Payload: []byte(c.String("will-payload")), QoS: qos, Retain: c.Bool("will-retain"), Props: conn.props.will,
	}
	if err == nil {
		err = conn.Will.Check()
	}
	if err != nil {
		return fmt.Errorf("will: %w", err)
	}
	return nil
}

func readQoS(c *cli.Context, flag string) (byte, error) {
	n := c.Int(flag)
	if n < 0 || n > 2 {
		return 0, fmt.Errorf("--%s %d: QoS is 0, 1 or 2", flag, n)
	}
	return byte(n), nil
}

func parseVersion(s string) (codec.Version, error) {
	switch s {
	case "mqttv31", "31", "3.1":
		return codec.V31, nil
	case "mqttv311", "311", "3.1.1":
		return codec.V311, nil
	case "mqttv5", "5", "5.0":
		return codec.V5, nil
	}
	return 0, fmt.Errorf("-V %q: use mqttv31, mqttv311 or mqttv5", s)
}

// debugf tells what happens, with -d.
func debugf(c *cli.Context, format string, args ...any) {
	if c.Bool("debug") && !c.Bool("quiet") {
		fmt.Fprintf(os.Stderr, format+"\n", args...)
	}
}
