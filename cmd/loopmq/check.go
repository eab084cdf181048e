package main

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"
	"unicode"

	"github.com/urfave/cli/v2"

	"github.com/loopmq/loopmq/client"
	"github.com/loopmq/loopmq/codec"
)

// Waits between the attempts of check --retry.
const (
	retryFirst = 200 * time.Millisecond
	retryLast  = 5 * time.Second
)

// attemptTimeout is what one attempt of --retry may take, so that a server
// that is mute while it starts does not use up all of the time.
const attemptTimeout = 10 * time.Second

func checkCommand() *cli.Command {
	flags := []cli.Flag{
		&cli.StringFlag{Name: "topic", Aliases: []string{"t"}, Value: "loopmq/check", Usage: "beginning of the `TOPIC` that is used; with -m all of it"},
		&cli.StringFlag{Name: "message", Aliases: []string{"m"}, Usage: "`PAYLOAD` to publish; without, one that nobody else has"},
		&cli.IntFlag{Name: "qos", Value: 1, Usage: "`QOS` of the message"},
		&cli.IntFlag{Name: "count", Value: 100, Usage: "`N` round trips for the latency, in half of --timeout at most; with -m only if it is given"},
		&cli.BoolFlag{Name: "probe", Usage: "also try what the server offers: QoS 2, wildcards, shared subscriptions, retained messages, MQTT 5.0"},
		&cli.StringFlag{Name: "id", Aliases: []string{"i"}, Usage: "client identifier"},
		&cli.StringFlag{Name: "username", Aliases: []string{"u"}, Usage: "user `NAME`, as in the URL"},
		&cli.StringFlag{Name: "pw", Aliases: []string{"P"}, Usage: "`PASSWORD`, as in the URL"},
		&cli.StringFlag{Name: "protocol-version", Aliases: []string{"V"}, Value: "mqttv311", Usage: "`VERSION` of MQTT: mqttv31, mqttv311 or mqttv5"},
		timeFlag(cli.GenericFlag{Name: "timeout", Usage: "`TIME` for all of it"}, 5*time.Second),
		&cli.BoolFlag{Name: "retry", Usage: "try again, with growing pauses, until it works or --timeout is over"},
		&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "`KIND` json: one object instead of lines"},
		&cli.BoolFlag{Name: "json", Usage: "short for -o json"},
		&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "print nothing, only the exit status"},
	}
	return &cli.Command{
		Name: "check", Usage: "make the round trip of a client, for instance as a health check", ArgsUsage: "[URL]",
		Description: "Connects, logs in, subscribes, publishes, receives its own message and disconnects, and prints how long each step took.\n" +
			"URL is mqtt://[USER[:PASSWORD]@]HOST[:PORT] (default mqtt://127.0.0.1), mqtts://, ws://HOST[:80][/mqtt], wss://HOST[:443][/mqtt] or unix:///PATH.\n" +
			"Behind TLS it tells the server's certificates and the days they have; with -V mqttv5 what CONNACK says of the server.\n" +
			"Exit status: 0 all of it works; 1 something does not; 2 usage; a server that refused: its return code (3.x) or reason code (5.0).",
		Flags:  append(flags, doorFlags()...),
		Action: check,
	}
}

// checkStep is one step of a check and the time it took.
type checkStep struct {
	Name   string  `json:"step"`
	Millis float64 `json:"ms"`
	Detail string  `json:"detail,omitempty"`
}

// checkReport is what a check found out, of its last attempt.
type checkReport struct {
	OK           bool          `json:"ok"`
	Server       string        `json:"server"`
	URL          string        `json:"url"`
	Attempts     int           `json:"attempts"`
	Steps        []checkStep   `json:"steps"`
	Latency      *latency      `json:"latency,omitempty"`
	TLS          *tlsReport    `json:"tls,omitempty"`
	Capabilities *capabilities `json:"capabilities,omitempty"`
	Probe        *probeReport  `json:"probe,omitempty"`
	Error        string        `json:"error,omitempty"`
}

// checker goes the steps of a check.
type checker struct {
	c       *cli.Context
	conn    *connection
	qos     byte
	topic   string
	payload string
	rounds  int // for the latency
	got     chan arrival

	began  time.Time
	report checkReport
}

// arrival is a message on the topic.
type arrival struct {
	payload string
	at      time.Time
}

func check(c *cli.Context) error {
	k, err := readCheck(c)
	if err != nil {
		return usageError(c, err)
	}
	timeout := c.Duration("timeout")
	ctx, cancel := context.WithTimeoutCause(context.Background(), timeout, fmt.Errorf("not done within %v", timeout))
	defer cancel()
	err = k.attempts(ctx)
	if k.json() && !c.Bool("quiet") {
		k.report.OK = err == nil
		if err != nil {
			k.report.Error = err.Error() + hint(err)
		}
		if werr := json.NewEncoder(os.Stdout).Encode(k.report); err == nil && werr != nil {
			err = werr
		}
	}
	if err != nil {
		return clientError(c, err)
	}
	return nil
}

func (k *checker) json() bool { return k.c.Bool("json") || k.c.String("output") == "json" }

// say prints a line for people.
func (k *checker) say(format string, args ...any) {
	if !k.c.Bool("quiet") && !k.json() {
		fmt.Println(strings.Map(func(r rune) rune {
			if !unicode.IsPrint(r) { // a certificate may hold anything
				return -1
			}
			return r
		}, fmt.Sprintf(format, args...)))
	}
}

// step notes that a step is done.
func (k *checker) step(name, detail string) {
	now := time.Now()
	k.note(checkStep{name, millis(now.Sub(k.began)), detail})
	k.began = now
}

func (k *checker) note(s checkStep) {
	k.report.Steps = append(k.report.Steps, s)
	k.say("%-11s %9.3f ms  %s", s.Name, s.Millis, s.Detail)
}

func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func readCheck(c *cli.Context) (*checker, error) {
	conn := &connection{props: new(properties)}
	if c.NArg() > 1 {
		return nil, fmt.Errorf("unexpected argument %q; flags stand before the URL", c.Args().Get(1))
	}
	raw := c.Args().First()
	if raw == "" {
		raw = "mqtt://127.0.0.1"
	}
	err := conn.readURL(c, raw)
	if err != nil {
		return nil, err
	}
	if err = conn.readDoor(c); err != nil {
		return nil, err
	}
	if conn.Version, err = parseVersion(c.String("protocol-version")); err != nil {
		return nil, err
	}
	if c.IsSet("username") {
		conn.Username = c.String("username")
	}
	if c.IsSet("pw") {
		conn.Password = []byte(c.String("pw"))
	}
	switch o := c.String("output"); {
	case o != "" && o != "json":
		return nil, fmt.Errorf("-o %q: only json", o)
	case c.Duration("timeout") <= 0:
		return nil, errors.New("--timeout: more than 0")
	case c.Int("count") < 0:
		return nil, fmt.Errorf("--count %d: at least 0", c.Int("count"))
	}
	conn.CleanStart = true
	conn.ConnectTimeout = c.Duration("timeout")
	token := strings.ToLower(rand.Text()[:tokenBytes])
	if conn.ClientID = c.String("id"); conn.ClientID == "" {
		conn.ClientID = "lmq-check-" + token // 3.1 takes 23 bytes
	}
	k := &checker{
		c: c, conn: conn, topic: c.String("topic") + "/" + token, payload: token, rounds: c.Int("count"),
	}
	if c.IsSet("message") {
		k.topic, k.payload = c.String("topic"), c.String("message")
		if !c.IsSet("count") {
			k.rounds = 0
		}
	}
	k.report.Server, k.report.URL = conn.server.Address, conn.server.URL()
	k.qos, err = readQoS(c, "qos")
	return k, err
}

// attempts checks once, or with --retry until it works.
func (k *checker) attempts(ctx context.Context) error {
	pause := newBackoff(retryFirst, retryLast)
	var failed error
	for {
		k.report.Attempts++
		err := k.attempt(ctx)
		if err == nil || !k.c.Bool("retry") {
			return err
		}
		if !over(ctx) || failed == nil {
			failed = err // else the attempt before says more than the end of the time
		}
		wait := pause.next()
		if !over(ctx) && !k.c.Bool("quiet") {
			fmt.Fprintf(os.Stderr, "loopmq check: %v%s; next attempt in %v\n", err, hint(err), wait.Round(time.Millisecond))
		}
		if end := sleep(ctx, wait); end != nil {
			return fmt.Errorf("%w (%d attempts, %w)", failed, k.report.Attempts, end)
		}
	}
}

// over tells whether ctx has ended. What waits for the network until its
// deadline may hear of that before ctx does.
func over(ctx context.Context) bool {
	deadline, ok := ctx.Deadline()
	return ctx.Err() != nil || ok && !time.Now().Before(deadline)
}

// attempt is one check.
func (k *checker) attempt(ctx context.Context) error {
	if k.c.Bool("retry") {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, attemptTimeout, fmt.Errorf("not done within %v", attemptTimeout))
		defer cancel()
	}
	r := &k.report
	r.Steps, r.Latency, r.TLS, r.Capabilities, r.Probe = nil, nil, nil, nil, nil
	k.got = make(chan arrival, 16)
	k.began = time.Now()
	if err := k.run(ctx); err != nil {
		return err
	}
	if k.c.Bool("probe") {
		return k.probe(ctx)
	}
	return nil
}

// dial connects, with a step for each stage.
func (k *checker) dial(ctx context.Context) (*client.Client, error) {
	o := k.conn.Options
	o.OnMessage = k.message
	o.OnStage = func(s client.Stage, conn net.Conn) {
		switch s {
		case client.StageNetwork:
			k.step(k.conn.server.Network, conn.RemoteAddr().String())
		case client.StageTLS:
			if t, ok := conn.(*tls.Conn); ok {
				k.secured(t.ConnectionState())
			}
		case client.StageWebSocket:
			path, _, _ := strings.Cut(k.conn.server.Path, "?")
			k.step("websocket", path+", subprotocol mqtt")
		}
	}
	return client.Dial(ctx, o)
}

// message takes what comes on the topic, on the client's reading goroutine.
func (k *checker) message(m *client.Message) bool {
	if m.Topic == k.topic && !m.Retain {
		select {
		case k.got <- arrival{string(m.Payload), time.Now()}:
		default: // somebody else is at it too
		}
	}
	return true
}

// run goes the steps.
func (k *checker) run(ctx context.Context) error {
	cl, err := k.dial(ctx)
	if err != nil {
		return err
	}
	defer cl.Abort()
	k.step("connect", fmt.Sprintf("%s, MQTT %v", k.conn.server.Address, k.conn.Version))
	k.offered(cl)
	codes, err := cl.Subscribe(ctx, codec.Filter{Name: []byte(k.topic), QoS: k.qos})
	if err != nil {
		return err
	}
	if codes[0].Failed() {
		return fmt.Errorf("subscribe to %q: %w", k.topic, &client.ReasonError{Packet: codec.TypeSuback, Reason: codes[0]})
	}
	k.step("subscribe", fmt.Sprintf("%s, QoS %d granted", k.topic, codes[0]))
	if err := cl.Publish(ctx, &client.Message{Topic: k.topic, Payload: []byte(k.payload), QoS: k.qos}); err != nil {
		return err
	}
	k.step("publish", fmt.Sprintf("QoS %d", k.qos))
	if _, err := k.wait(ctx, cl, k.payload); err != nil {
		return err
	}
	k.step("receive", fmt.Sprintf("%d bytes", len(k.payload)))
	if err := k.measure(ctx, cl); err != nil {
		return err
	}
	if err := cl.Close(); err != nil {
		return fmt.Errorf("disconnect: %w", err)
	}
	k.step("disconnect", "")
	return nil
}

// wait waits for a payload, and returns when it came.
func (k *checker) wait(ctx context.Context, cl *client.Client, payload string) (time.Time, error) {
	for {
		select {
		case a := <-k.got:
			if a.payload == payload {
				return a.at, nil
			}
		case <-cl.Done():
			return time.Time{}, fmt.Errorf("wait for the message: %w", cl.Err())
		case <-ctx.Done():
			return time.Time{}, fmt.Errorf("wait for the message on %q, which does not come: %w", k.topic, context.Cause(ctx))
		}
	}
}
