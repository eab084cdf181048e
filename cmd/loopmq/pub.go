package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/loopmq/loopmq/client"
)

func pubCommand() *cli.Command {
	flags := []cli.Flag{
		&cli.StringFlag{Name: "topic", Aliases: []string{"t"}, Usage: "`TOPIC` to publish to"},
		&cli.StringFlag{Name: "message", Aliases: []string{"m"}, Usage: "publish this `PAYLOAD`"},
		&cli.BoolFlag{Name: "null-message", Aliases: []string{"n"}, Usage: "publish an empty payload"},
		&cli.StringFlag{Name: "file", Aliases: []string{"f"}, Usage: "publish what is in `FILE`"},
		&cli.BoolFlag{Name: "stdin-file", Aliases: []string{"s"}, Usage: "publish all of standard input as one message"},
		&cli.BoolFlag{Name: "stdin-line", Aliases: []string{"l"}, Usage: "publish each line of standard input; connects again when the connection is lost"},
		&cli.IntFlag{Name: "qos", Aliases: []string{"q"}, Usage: "`QOS` of the messages: 0, 1 or 2"},
		&cli.BoolFlag{Name: "retain", Aliases: []string{"r"}, Usage: "the server keeps the message for those who subscribe later"},
		&cli.IntFlag{Name: "repeat", Value: 1, Usage: "publish the message `N` times"},
		&cli.Float64Flag{Name: "repeat-delay", Usage: "`SECONDS` between repeats"},
		&cli.IntFlag{Name: "max-inflight", Aliases: []string{"M"}, Value: 20, Usage: "`N` messages of QoS 1 and 2 at most are not acknowledged at a time"},
	}
	return &cli.Command{
		Name: "pub", Usage: "publish messages, with the flags of mosquitto_pub",
		Description: "Exit status: 0 published; 1 failed; 2 usage; a server that refused: its return code (3.x) or reason code (5.0).",
		Flags:       append(flags, connFlags("mqttv311")...), ArgsUsage: " ", Action: pub,
	}
}

// publisher is one run of pub.
type publisher struct {
	c       *cli.Context
	client  *client.Client
	message client.Message

	mu    sync.Mutex
	first error // of the messages sent so far
	open  sync.WaitGroup
}

func pub(c *cli.Context) error {
	if c.Args().Present() {
		return usageError(c, fmt.Errorf("unexpected argument %q", c.Args().First()))
	}
	conn, err := readConnection(c)
	if err != nil {
		return usageError(c, err)
	}
	p := &publisher{c: c}
	if err := p.readMessage(conn); err != nil {
		return usageError(c, err)
	}
	if !c.Bool("stdin-line") {
		if p.message.Payload, err = readPayload(c); err != nil {
			return clientError(c, err)
		}
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	conn.InflightMax = c.Int("max-inflight")
	if p.client, err = conn.dial(ctx, c); err != nil {
		return clientError(c, err)
	}
	debugf(c, "connected to %s as %q", conn.server.URL(), conn.ClientID)
	if c.Bool("stdin-line") {
		err = newLinePublisher(p, conn).run(ctx, os.Stdin)
	} else {
		err = p.repeat(ctx)
	}
	if late := p.settle(ctx); err == nil {
		err = late
	}
	if err == nil {
		err = p.client.Disconnect(disconnectPacket(conn))
	} else {
		p.client.Close()
	}
	if err != nil {
		return clientError(c, err)
	}
	return nil
}

// readMessage reads what each message has but its payload.
func (p *publisher) readMessage(conn *connection) error {
	c := p.c
	sources := 0
	for _, name := range []string{"message", "null-message", "file", "stdin-file", "stdin-line"} {
		if c.IsSet(name) {
			sources++
		}
	}
	topic := c.String("topic")
	if topic == "" {
		topic = conn.topic
	}
	qos, err := readQoS(c, "qos")
	switch {
	case err != nil:
		return err
	case topic == "":
		return conn.noTopic()
	case sources == 0:
		return errors.New("nothing to publish; add -m, -n, -f, -s or -l")
	case sources > 1:
		return errors.New("only one of -m, -n, -f, -s and -l")
	case c.Int("repeat") < 1:
		return fmt.Errorf("--repeat %d: at least 1", c.Int("repeat"))
	case c.Float64("repeat-delay") < 0 || math.IsNaN(c.Float64("repeat-delay")):
		return errors.New("--repeat-delay: at least 0")
	case c.Int("max-inflight") < 1 || c.Int("max-inflight") > 65535:
		return fmt.Errorf("--max-inflight %d: 1 to 65535", c.Int("max-inflight"))
	}
	p.message = client.Message{Topic: topic, QoS: qos, Retain: c.Bool("retain"), Props: conn.props.publish}
	return p.message.Check()
}

func readPayload(c *cli.Context) ([]byte, error) {
	switch {
	case c.IsSet("file"):
		b, err := os.ReadFile(c.String("file"))
		if err != nil {
			return nil, fmt.Errorf("read the payload: %w", err)
		}
		return b, nil
	case c.Bool("stdin-file"):
		b, err := io.ReadAll(os.Stdin)
		if err != nil {
			return nil, fmt.Errorf("read standard input: %w", err)
		}
		return b, nil
	}
	return []byte(c.String("message")), nil
}

// repeat publishes the one message as often as asked for.
func (p *publisher) repeat(ctx context.Context) error {
	delay := seconds(p.c, "repeat-delay")
	for i := range p.c.Int("repeat") {
		if i > 0 && delay > 0 {
			select {
			case <-time.After(delay):
			case <-ctx.Done():
				return context.Cause(ctx)
			case <-p.client.Done():
				return p.client.Err()
			}
		}
		if err := p.send(ctx, p.message.Payload); err != nil {
			return err
		}
	}
	return nil
}

// send publishes one payload and remembers its outcome.
func (p *publisher) send(ctx context.Context, payload []byte) error {
	m := p.message
	m.Payload = payload
	p.open.Add(1)
	err := p.client.PublishAsync(ctx, &m, func(err error) {
		p.mu.Lock()
		if p.first == nil {
			p.first = err
		}
		p.mu.Unlock()
		p.open.Done()
	})
	if err != nil {
		p.open.Done()
		return fmt.Errorf("publish to %q: %w", m.Topic, err)
	}
	debugf(p.c, "published %d bytes to %q", len(payload), m.Topic)
	return nil
}

// settle waits for all acknowledgements.
func (p *publisher) settle(ctx context.Context) error {
	stop := context.AfterFunc(ctx, p.client.Abort) // ends all waits
	defer stop()
	p.open.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.first != nil {
		return fmt.Errorf("publish to %q: %w", p.message.Topic, p.first)
	}
	return nil
}
