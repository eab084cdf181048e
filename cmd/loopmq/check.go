package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/loopmq/loopmq/client"
	"github.com/loopmq/loopmq/codec"
)

func checkCommand() *cli.Command {
	return &cli.Command{
		Name: "check", Usage: "make the round trip of a client, for instance as a health check", ArgsUsage: "[URL]",
		Description: "Connects, logs in, subscribes, publishes, receives its own message and disconnects, and prints how long each step took.\n" +
			"URL is mqtt://[USER[:PASSWORD]@]HOST[:PORT] (default mqtt://127.0.0.1), mqtts:// or unix:///PATH.\n" +
			"Exit status: 0 all of it works; 1 something does not; 2 usage; a server that refused: its return code (3.x) or reason code (5.0).",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "topic", Aliases: []string{"t"}, Value: "loopmq/check", Usage: "beginning of the `TOPIC` that is used"},
			&cli.IntFlag{Name: "qos", Value: 1, Usage: "`QOS` of the message"},
			&cli.StringFlag{Name: "protocol-version", Aliases: []string{"V"}, Value: "mqttv311", Usage: "`VERSION` of MQTT: mqttv31, mqttv311 or mqttv5"},
			&cli.DurationFlag{Name: "timeout", Value: 5 * time.Second, Usage: "`TIME` for all of it"},
			&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "`KIND` json: one object instead of lines"},
			&cli.StringFlag{Name: "cafile", Usage: "`FILE` of trusted certificates"},
			&cli.StringFlag{Name: "cert", Usage: "`FILE` of the client's certificate"},
			&cli.StringFlag{Name: "key", Usage: "`FILE` of the client's key"},
			&cli.BoolFlag{Name: "insecure", Usage: "do not check who the server is"},
			&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "print nothing, only the exit status"},
		},
		Action: check,
	}
}

// checkStep is one step of a check and the time it took.
type checkStep struct {
	Name   string  `json:"step"`
	Millis float64 `json:"ms"`
	Detail string  `json:"detail,omitempty"`
}

// checker goes the steps of a check.
type checker struct {
	c     *cli.Context
	began time.Time
	steps []checkStep
}

// step notes that a step is done.
func (k *checker) step(name, detail string) {
	now := time.Now()
	s := checkStep{name, float64(now.Sub(k.began).Microseconds()) / 1000, detail}
	k.began = now
	k.steps = append(k.steps, s)
	if !k.c.Bool("quiet") && k.c.String("output") == "" {
		fmt.Printf("%-11s %9.3f ms  %s\n", s.Name, s.Millis, s.Detail)
	}
}

func check(c *cli.Context) error {
	conn, qos, err := readCheck(c)
	if err != nil {
		return usageError(c, err)
	}
	ctx, cancel := context.WithTimeoutCause(context.Background(), c.Duration("timeout"),
		fmt.Errorf("not done within %v", c.Duration("timeout")))
	defer cancel()
	k := &checker{c: c, began: time.Now()}
	err = k.run(ctx, conn, qos)
	if c.String("output") == "json" && !c.Bool("quiet") {
		result := struct {
			OK    bool        `json:"ok"`
			URL   string      `json:"server"`
			Steps []checkStep `json:"steps"`
			Error string      `json:"error,omitempty"`
		}{OK: err == nil, URL: serverName(conn.URL), Steps: k.steps}
		if err != nil {
			result.Error = err.Error()
		}
		if werr := json.NewEncoder(os.Stdout).Encode(result); err == nil && werr != nil {
			err = werr
		}
	}
	if err != nil {
		return clientError(c, err)
	}
	return nil
}

// serverName is the URL's server without user and password.
func serverName(raw string) string {
	s, err := client.ParseURL(raw)
	if err != nil {
		return raw
	}
	return s.Address
}

func readCheck(c *cli.Context) (*connection, byte, error) {
	conn := &connection{props: new(properties)}
	if c.NArg() > 1 {
		return nil, 0, fmt.Errorf("unexpected argument %q; flags stand before the URL", c.Args().Get(1))
	}
	if conn.URL = c.Args().First(); conn.URL == "" {
		conn.URL = "mqtt://127.0.0.1"
	}
	var err error
	if _, err = client.ParseURL(conn.URL); err != nil {
		return nil, 0, err
	}
	if err = conn.readTLS(c); err != nil {
		return nil, 0, err
	}
	if conn.Version, err = parseVersion(c.String("protocol-version")); err != nil {
		return nil, 0, err
	}
	if o := c.String("output"); o != "" && o != "json" {
		return nil, 0, fmt.Errorf("-o %q: only json", o)
	}
	if c.Duration("timeout") <= 0 {
		return nil, 0, errors.New("--timeout: more than 0")
	}
	conn.CleanStart = true
	conn.ConnectTimeout = c.Duration("timeout")
	qos, err := readQoS(c, "qos")
	return conn, qos, err
}

// run goes the steps.
func (k *checker) run(ctx context.Context, conn *connection, qos byte) error {
	token := strings.ToLower(rand.Text()[:tokenBytes])
	topic, payload := k.c.String("topic")+"/"+token, []byte(token)
	conn.ClientID = "loopmq-check-" + token
	got := make(chan struct{}, 1)
	conn.OnMessage = func(m *client.Message) bool {
		if m.Topic == topic && bytes.Equal(m.Payload, payload) {
			select {
			case got <- struct{}{}:
			default:
			}
		}
		return true
	}
	cl, err := client.Dial(ctx, conn.Options)
	if err != nil {
		return err
	}
	defer cl.Abort()
	k.step("connect", fmt.Sprintf("%s, MQTT %v", serverName(conn.URL), conn.Version))
	codes, err := cl.Subscribe(ctx, codec.Filter{Name: []byte(topic), QoS: qos})
	if err != nil {
		return err
	}
	if codes[0].Failed() {
		return fmt.Errorf("subscribe to %q: %w", topic, &client.ReasonError{Packet: codec.TypeSuback, Reason: codes[0]})
	}
	k.step("subscribe", fmt.Sprintf("%s, QoS %d granted", topic, codes[0]))
	if err := cl.Publish(ctx, &client.Message{Topic: topic, Payload: payload, QoS: qos}); err != nil {
		return err
	}
	k.step("publish", fmt.Sprintf("QoS %d", qos))
	select {
	case <-got:
	case <-cl.Done():
		return fmt.Errorf("wait for the message: %w", cl.Err())
	case <-ctx.Done():
		return fmt.Errorf("wait for the message on %q, which does not come: %w", topic, context.Cause(ctx))
	}
	k.step("receive", fmt.Sprintf("%d bytes", len(payload)))
	if err := cl.Close(); err != nil {
		return fmt.Errorf("disconnect: %w", err)
	}
	k.step("disconnect", "")
	return nil
}
