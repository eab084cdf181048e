package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/loopmq/loopmq/client"
	"github.com/loopmq/loopmq/codec"
)

// Waits between attempts to connect again: the first, doubled up to the last.
const (
	reconnectFirst = time.Second
	reconnectLast  = 30 * time.Second
)

func subCommand() *cli.Command {
	return &cli.Command{
		Name: "sub", Usage: "subscribe and print messages, with the flags of mosquitto_sub",
		Description: "Exit status: 0 done or interrupted; 27 the time of -W was over; 1 failed; 2 usage; a server that refused: its return code (3.x) or reason code (5.0).\n" +
			"A connection that is lost is made again, with growing pauses.",
		Flags: append(append(subFlags(), printFlags()...), connFlags("mqttv311")...), ArgsUsage: " ", Action: sub,
	}
}

func subFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringSliceFlag{Name: "topic", Aliases: []string{"t"}, Usage: "`FILTER` to subscribe to; repeatable"},
		&cli.StringSliceFlag{Name: "filter-out", Aliases: []string{"T"}, Usage: "do not print what matches this `FILTER`; repeatable"},
		&cli.StringSliceFlag{Name: "unsubscribe", Aliases: []string{"U"}, Usage: "take this `FILTER` out of the session; repeatable"},
		&cli.IntFlag{Name: "qos", Aliases: []string{"q"}, Usage: "`QOS` to ask for: 0, 1 or 2"},
		&cli.IntFlag{Name: "count", Aliases: []string{"C"}, Usage: "end after `N` messages"},
		&cli.BoolFlag{Name: "exit-subscribed", Aliases: []string{"E"}, Usage: "end when the server has acknowledged the subscriptions; messages that wait in the session of -c stay there"},
		&cli.BoolFlag{Name: "no-stale", Aliases: []string{"R"}, Usage: "do not print retained messages"},
		&cli.BoolFlag{Name: "retained-only", Usage: "print retained messages only, and end at the first other one"},
		&cli.BoolFlag{Name: "remove-retained", Usage: "remove the retained messages that come, but those of -T"},
		&cli.Float64Flag{Name: "random-filter", Value: 100, Usage: "print `PERCENT` of the messages, drawn at random"},
	}
}

// printFlags are those of sub and rr about printing.
func printFlags() []cli.Flag {
	return []cli.Flag{
		&cli.BoolFlag{Name: "verbose", Aliases: []string{"v"}, Usage: "print the topic before the payload"},
		&cli.BoolFlag{Name: "no-newline", Aliases: []string{"N"}, Usage: "print no end of line behind the payload"},
		&cli.StringFlag{Name: "format", Aliases: []string{"F"}, Usage: "print each message in this `FORMAT`: %t topic, %p payload, %x hex, %b base64, %j JSON, %q QoS, %r RETAIN, %I time, ..."},
		&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "`KIND` json: short for -F %j"},
		&cli.BoolFlag{Name: "pretty", Usage: "print JSON over several lines"},
		&cli.Float64Flag{Name: "timeout", Aliases: []string{"W"}, Usage: "end after `SECONDS`, with status 27"},
	}
}

// newPrinter reads printFlags; what is not a number is out of their bounds, too.
func newPrinter(c *cli.Context) (printer, error) {
	if w := c.Float64("timeout"); c.IsSet("timeout") && !(w > 0) {
		return nil, fmt.Errorf("-W %v: more than 0 seconds", w)
	}
	format := c.String("format")
	switch o := c.String("output"); {
	case o == "json" && format == "":
		format = "%j"
	case o != "":
		return nil, fmt.Errorf("-o %q: only json, and not together with -F", o)
	}
	if format == "" {
		return plainPrinter(c.Bool("verbose"), !c.Bool("no-newline")), nil
	}
	p, err := formatPrinter(format, c.Bool("pretty"))
	if err != nil || !c.Bool("no-newline") {
		return p, err
	}
	return func(dst []byte, m *client.Message, at time.Time) []byte {
		dst = p(dst, m, at)
		return dst[:len(dst)-1]
	}, nil
}

// subscriber is one run of sub.
type subscriber struct {
	c       *cli.Context
	conn    *connection
	print   printer
	out     *output
	filters []codec.Filter
	left    int         // messages until the end; 0: no end
	ended   atomic.Bool // the reading goroutine may set it while another asks

	dialing sync.Mutex     // held until cl is there: messages may come before
	cl      *client.Client // of the connection
}

// errTimeout is the end of -W.
var errTimeout = errors.New("timed out")

func sub(c *cli.Context) error {
	s := &subscriber{c: c, left: c.Int("count")}
	if err := s.read(); err != nil {
		return usageError(c, err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if w := seconds(c, "timeout"); w > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, w, errTimeout)
		defer cancel()
	}
	s.out = newOutput(os.Stdout)
	err := s.run(ctx)
	if werr := s.out.close(); err == nil && werr != nil {
		err = fmt.Errorf("print: %w", werr)
	}
	switch {
	case errors.Is(context.Cause(ctx), errTimeout) && !s.ended.Load():
		return quietly(c, cli.Exit(fmt.Sprintf("loopmq sub: timed out after %v s", c.Float64("timeout")), exitTimeout))
	case ctx.Err() != nil, err == nil: // interrupted, or all that was asked for
		return nil
	}
	return clientError(c, err)
}

// read reads the flags.
func (s *subscriber) read() (err error) {
	c := s.c
	if c.Args().Present() {
		return fmt.Errorf("unexpected argument %q", c.Args().First())
	}
	if s.conn, err = readConnection(c); err != nil {
		return err
	}
	qos, err := readQoS(c, "qos")
	if err != nil {
		return err
	}
	names := c.StringSlice("topic")
	if s.conn.topic != "" {
		names = append(names, s.conn.topic)
	}
	for _, name := range names {
		s.filters = append(s.filters, codec.Filter{Name: []byte(name), QoS: qos})
	}
	switch {
	case len(names) == 0 && len(c.StringSlice("unsubscribe")) == 0:
		if s.conn.server.WebSocket {
			return errors.New("no filter; add -t (the path of a ws URL is the WebSocket's)")
		}
		return errors.New("no filter; add -t")
	case c.IsSet("count") && s.left < 1:
		return fmt.Errorf("-C %d: at least 1", s.left)
	case c.Bool("no-stale") && c.Bool("retained-only"):
		return errors.New("-R and --retained-only together leave nothing")
	case !(c.Float64("random-filter") > 0 && c.Float64("random-filter") <= 100):
		return errors.New("--random-filter: more than 0 and at most 100")
	}
	s.print, err = newPrinter(c)
	return err
}

// run connects, and connects again, until there is an end.
func (s *subscriber) run(ctx context.Context) error {
	if !s.c.Bool("exit-subscribed") { // else nothing is printed, so that nothing is taken
		s.conn.OnMessage = s.message
	}
	pause := newBackoff(reconnectFirst, reconnectLast)
	for first := true; ; first = false {
		up, err := s.session(ctx)
		switch {
		case err == nil || ctx.Err() != nil:
			return err
		case first && !up && !s.c.Bool("retry"), fatal(err):
			return err
		case up:
			pause.reset()
		}
		if err := pause.after(ctx, s.c, err); err != nil {
			return err
		}
	}
}

// fatal reports whether another attempt would end like the last.
func fatal(err error) bool {
	if e, ok := errors.AsType[*client.ConnectError](err); ok {
		if e.Version != codec.V5 {
			return e.ReturnCode != codec.ReturnServerUnavailable
		}
		return e.Reason != codec.ServerUnavailable && e.Reason != codec.ServerBusy && e.Reason != codec.ConnectionRateExceeded
	}
	_, denied := errors.AsType[*deniedError](err)
	return denied
}

// deniedError is a server that grants none of the subscriptions.
type deniedError struct{ reason error }

func (e *deniedError) Error() string { return "all subscriptions were denied: " + e.reason.Error() }
func (e *deniedError) Unwrap() error { return e.reason }

// session is one connection. up: it was made. A nil error is the end.
func (s *subscriber) session(ctx context.Context) (up bool, err error) {
	s.dialing.Lock()
	cl, err := client.Dial(ctx, s.conn.Options)
	s.cl = cl
	s.dialing.Unlock()
	if err != nil {
		return false, err
	}
	defer cl.Abort()
	debugf(s.c, "connected to %s as %q, session present: %v", s.conn.server.URL(), s.conn.ClientID, cl.SessionPresent())
	if err := s.subscribe(ctx, cl); err != nil {
		if s.ended.Load() { // enough came with the subscription
			<-cl.Done()
			return true, nil
		}
		return true, err
	}
	if s.c.Bool("exit-subscribed") {
		s.ended.Store(true)
		return true, cl.Disconnect(disconnectPacket(s.conn))
	}
	select {
	case <-cl.Done():
		if s.ended.Load() {
			return true, nil
		}
		return true, cl.Err()
	case <-ctx.Done():
		_ = cl.Disconnect(disconnectPacket(s.conn))
		return true, context.Cause(ctx)
	}
}

func disconnectPacket(conn *connection) *codec.Disconnect {
	return &codec.Disconnect{Props: conn.props.disconnect}
}

// subscribe takes filters out and in.
func (s *subscriber) subscribe(ctx context.Context, cl *client.Client) error {
	if out := s.c.StringSlice("unsubscribe"); len(out) > 0 {
		if _, err := cl.UnsubscribeWith(ctx, s.conn.props.unsubscribe, out...); err != nil {
			return err
		}
		debugf(s.c, "unsubscribed from %s", strings.Join(out, ", "))
	}
	if len(s.filters) == 0 {
		return nil
	}
	codes, err := cl.SubscribeWith(ctx, s.conn.props.subscribe, s.filters...)
	if err != nil {
		return err
	}
	denied := 0
	for i, code := range codes {
		debugf(s.c, "subscribed to %q: %v", s.filters[i].Name, code)
		if code.Failed() {
			denied++
			if denied < len(codes) && !s.c.Bool("quiet") {
				fmt.Fprintf(os.Stderr, "loopmq sub: the server does not grant %q: %v\n", s.filters[i].Name, code)
			}
		}
	}
	if denied == len(codes) {
		return &deniedError{&client.ReasonError{Packet: codec.TypeSuback, Reason: codes[0]}}
	}
	return nil
}

// message prints one message, on the client's reading goroutine. False: that
// was the last one.
func (s *subscriber) message(m *client.Message) bool {
	at := time.Now()
	if s.c.Bool("retained-only") && !m.Retain {
		s.ended.Store(true)
		return false
	}
	if m.Retain && s.c.Bool("no-stale") || s.filteredOut(m.Topic) {
		return true
	}
	if p := s.c.Float64("random-filter"); p < 100 && rand.Float64()*100 >= p {
		return true
	}
	if m.Retain && s.c.Bool("remove-retained") {
		if err := s.remove(m.Topic); err != nil {
			fmt.Fprintf(os.Stderr, "loopmq sub: the retained message of %q stays: %v\n", m.Topic, err)
		}
	}
	if err := s.out.add(func(dst []byte) []byte { return s.print(dst, m, at) }); err != nil {
		s.ended.Store(true)
		return false
	}
	if s.left > 0 {
		s.left--
		s.ended.Store(s.left == 0)
	}
	return !s.ended.Load()
}

// errTooMany is what has no room in the output.
var errTooMany = errors.New("too many are removed at once")

// remove takes a retained message away. It is queued here, before the connection may be closed because of the last
// message; and not waited for, as the reading goroutine must not.
func (s *subscriber) remove(topic string) error {
	s.dialing.Lock()
	cl := s.cl
	s.dialing.Unlock()
	now, over := context.WithCancelCause(context.Background())
	over(errTooMany)
	return cl.PublishAsync(now, &client.Message{Topic: topic, Retain: true}, nil)
}

func (s *subscriber) filteredOut(topic string) bool {
	for _, f := range s.c.StringSlice("filter-out") {
		if client.Matches(f, topic) {
			return true
		}
	}
	return false
}
