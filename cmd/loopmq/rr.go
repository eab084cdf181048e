package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/loopmq/loopmq/client"
	"github.com/loopmq/loopmq/codec"
)

func rrCommand() *cli.Command {
	flags := []cli.Flag{
		&cli.StringFlag{Name: "topic", Aliases: []string{"t"}, Usage: "`TOPIC` of the request"},
		&cli.StringFlag{Name: "response-topic", Aliases: []string{"e"}, Usage: "`TOPIC` of the response; with MQTT 5.0 the server may offer one"},
		&cli.StringFlag{Name: "message", Aliases: []string{"m"}, Usage: "`PAYLOAD` of the request"},
		&cli.BoolFlag{Name: "null-message", Aliases: []string{"n"}, Usage: "empty payload"},
		&cli.StringFlag{Name: "file", Aliases: []string{"f"}, Usage: "payload from `FILE`"},
		&cli.BoolFlag{Name: "stdin-file", Aliases: []string{"s"}, Usage: "payload from standard input"},
		&cli.IntFlag{Name: "qos", Aliases: []string{"q"}, Usage: "`QOS` of request and subscription: 0, 1 or 2"},
		&cli.BoolFlag{Name: "no-stale", Aliases: []string{"R"}, Usage: "a retained message is no response"},
	}
	return &cli.Command{
		Name: "rr", Usage: "send a request and print its response, with the flags of mosquitto_rr",
		Description: "Exit status: 0 a response came; 27 the time of -W was over; 1 failed; 2 usage; a server that refused: its return code (3.x) or reason code (5.0).",
		Flags:       append(append(flags, printFlags()...), connFlags("mqttv5")...), ArgsUsage: " ", Action: rr,
	}
}

// rr sends one request and waits for one response.
func rr(c *cli.Context) error {
	conn, request, print, err := readRequest(c)
	if err != nil {
		return usageError(c, err)
	}
	if request.Payload, err = readPayload(c); err != nil {
		return clientError(c, err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if w := seconds(c, "timeout"); w > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, w, errTimeout)
		defer cancel()
	}
	response := make(chan *client.Message, 1)
	conn.OnMessage = func(m *client.Message) bool {
		if m.Retain && c.Bool("no-stale") {
			return true
		}
		select {
		case response <- m:
		default: // one is enough
		}
		return false
	}
	err = ask(ctx, c, conn, request)
	if err == nil {
		select {
		case m := <-response:
			_, err = os.Stdout.Write(print(nil, m, time.Now()))
		default:
			err = errors.New("the connection ended before a response came")
		}
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(context.Cause(ctx), errTimeout):
		return quietly(c, cli.Exit(fmt.Sprintf("loopmq rr: no response on %q within %v s", request.Props.ResponseTopic, c.Float64("timeout")), exitTimeout))
	}
	return clientError(c, err)
}

func readRequest(c *cli.Context) (*connection, *client.Message, printer, error) {
	fail := func(err error) (*connection, *client.Message, printer, error) { return nil, nil, nil, err }
	if c.Args().Present() {
		return fail(fmt.Errorf("unexpected argument %q", c.Args().First()))
	}
	conn, err := readConnection(c)
	if err != nil {
		return fail(err)
	}
	qos, err := readQoS(c, "qos")
	if err != nil {
		return fail(err)
	}
	print, err := newPrinter(c)
	if err != nil {
		return fail(err)
	}
	topic := c.String("topic")
	if topic == "" {
		topic = conn.topic
	}
	sources := bit(c.IsSet("message")) + bit(c.IsSet("file")) + bit(c.Bool("stdin-file")) + bit(c.Bool("null-message"))
	switch {
	case topic == "":
		return fail(conn.noTopic())
	case c.String("response-topic") == "" && conn.Version != codec.V5:
		return fail(errors.New("no response topic; add -e"))
	case sources != 1:
		return fail(errors.New("one of -m, -n, -f and -s is needed"))
	}
	m := &client.Message{Topic: topic, QoS: qos, Props: conn.props.publish}
	m.Props.ResponseTopic = []byte(c.String("response-topic"))
	if conn.Version == codec.V5 && len(m.Props.ResponseTopic) == 0 {
		conn.Props.RequestResponse = 1
		conn.Props.Has = conn.Props.Has.Add(codec.PropRequestResponse)
	}
	return conn, m, print, m.Check()
}

// ask subscribes to the response, sends the request and waits until OnMessage
// has ended the connection.
func ask(ctx context.Context, c *cli.Context, conn *connection, request *client.Message) error {
	cl, err := conn.dial(ctx, c)
	if err != nil {
		return err
	}
	defer cl.Abort()
	p := &request.Props
	if len(p.ResponseTopic) == 0 {
		info := cl.Connack().Props.ResponseInformation
		if len(info) == 0 {
			return errors.New("the server offers no response topic; add -e")
		}
		p.ResponseTopic = append(info[:len(info):len(info)], "/"+conn.ClientID...)
	}
	codes, err := cl.SubscribeWith(ctx, conn.props.subscribe, codec.Filter{Name: p.ResponseTopic, QoS: request.QoS})
	if err != nil {
		return err
	}
	if codes[0].Failed() {
		return &client.ReasonError{Packet: codec.TypeSuback, Reason: codes[0], Text: string(p.ResponseTopic)}
	}
	debugf(c, "waiting for the response on %q", p.ResponseTopic)
	if conn.Version == codec.V5 {
		p.Has = p.Has.Add(codec.PropResponseTopic)
	}
	if err := cl.Publish(ctx, request); err != nil {
		if !errors.Is(err, client.ErrClosed) { // the response may be faster than the acknowledgement
			return err
		}
	}
	select {
	case <-cl.Done():
		if err := cl.Err(); !errors.Is(err, client.ErrClosed) {
			return err
		}
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
