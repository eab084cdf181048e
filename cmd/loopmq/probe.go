package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/loopmq/loopmq/client"
	"github.com/loopmq/loopmq/codec"
)

// probeTimeout is how long a probe waits for a message that may never come.
const probeTimeout = time.Second

// probeReport is what a server was seen to do. An answer of nil was not found
// out.
type probeReport struct {
	MQTT31    bool   `json:"mqtt_3_1"`
	MQTT311   bool   `json:"mqtt_3_1_1"`
	MQTT5     bool   `json:"mqtt_5_0"`
	QoS       *byte  `json:"granted_qos"`
	Wildcards *bool  `json:"wildcard_subscriptions"`
	Shared    *bool  `json:"shared_subscriptions"`
	Retained  *bool  `json:"retained_messages"`
	Error     string `json:"error,omitempty"` // what ended the probes
}

// prober goes the probes on one connection.
type prober struct {
	*checker
	client *client.Client
	got    chan *client.Message
	report probeReport
}

// probe tries what the server offers. Only the end of the time is an error:
// what is not offered makes no server unhealthy.
func (k *checker) probe(ctx context.Context) error {
	p := &prober{checker: k, got: make(chan *client.Message, 16)}
	err := p.run(ctx)
	if err != nil {
		p.report.Error = err.Error()
	}
	k.report.Probe = &p.report
	p.print()
	if ctx.Err() != nil {
		return fmt.Errorf("probe: %w", context.Cause(ctx))
	}
	return nil
}

// run finds the versions, then tries the rest with the newest.
func (p *prober) run(ctx context.Context) error {
	var last error
	for _, v := range []struct {
		version codec.Version
		spoken  *bool
	}{{codec.V31, &p.report.MQTT31}, {codec.V311, &p.report.MQTT311}, {codec.V5, &p.report.MQTT5}} {
		o := p.conn.Options
		o.Version, o.OnMessage = v.version, p.message
		o.OnStage = nil
		cl, err := client.Dial(ctx, o)
		if err != nil {
			last = err
			continue
		}
		*v.spoken = true
		if p.client != nil {
			_ = p.client.Close()
		}
		p.client = cl
	}
	if p.client == nil {
		return last
	}
	defer p.client.Abort()
	if p.report.MQTT5 && p.checker.report.Capabilities == nil {
		p.checker.report.Capabilities = readCapabilities(p.client.Connack())
		p.sayCapabilities(p.checker.report.Capabilities)
	}
	for _, try := range []func(context.Context) error{p.qos2, p.wildcards, p.shared, p.retained} {
		if err := try(ctx); err != nil {
			return err
		}
	}
	return p.client.Close()
}

func (p *prober) message(m *client.Message) bool {
	select {
	case p.got <- m:
	default:
	}
	return true
}

// offers is the value of a capability; without 5.0 it must be tried.
func (p *prober) offers(is func(*capabilities) bool) bool {
	c := p.checker.report.Capabilities
	return c == nil || is(c)
}

// subscribe returns the granted QoS, or granted false.
func (p *prober) subscribe(ctx context.Context, filter string, qos byte) (code byte, granted bool, err error) {
	codes, err := p.client.Subscribe(ctx, codec.Filter{Name: []byte(filter), QoS: qos})
	if err != nil {
		return 0, false, err
	}
	return byte(codes[0]), !codes[0].Failed(), nil
}

func (p *prober) qos2(ctx context.Context) error {
	code, granted, err := p.subscribe(ctx, p.topic+"/qos", 2)
	if granted {
		p.report.QoS = &code
	}
	return err
}

func (p *prober) wildcards(ctx context.Context) error {
	if !p.offers(func(c *capabilities) bool { return c.Wildcards }) {
		p.report.Wildcards = new(false)
		return nil
	}
	_, granted, err := p.subscribe(ctx, p.topic+"/wild/+", 0)
	if err == nil {
		p.report.Wildcards = &granted
	}
	return err
}

// shared publishes to a topic that only a shared subscription is for.
func (p *prober) shared(ctx context.Context) error {
	if !p.offers(func(c *capabilities) bool { return c.Shared }) {
		p.report.Shared = new(false)
		return nil
	}
	topic := p.topic + "/shared"
	_, granted, err := p.subscribe(ctx, "$share/loopmq-check/"+topic, 0)
	if err != nil {
		return err
	}
	if granted {
		if err := p.client.Publish(ctx, &client.Message{Topic: topic, Payload: []byte("x")}); err != nil {
			return err
		}
		granted, err = p.comes(ctx, topic, false)
	}
	if err == nil {
		p.report.Shared = &granted
	}
	return err
}

// retained leaves a message, fetches it, and takes it away again.
func (p *prober) retained(ctx context.Context) error {
	if !p.offers(func(c *capabilities) bool { return c.Retain }) {
		p.report.Retained = new(false)
		return nil
	}
	topic := p.topic + "/retained"
	if err := p.client.Publish(ctx, &client.Message{Topic: topic, Payload: []byte("x"), QoS: 1, Retain: true}); err != nil {
		if _, refused := errors.AsType[*client.ReasonError](err); refused && p.client.Err() == nil {
			p.report.Retained = new(false)
			return nil
		}
		return err
	}
	_, kept, err := p.subscribe(ctx, topic, 0)
	if err == nil && kept {
		kept, err = p.comes(ctx, topic, true)
	}
	if gone := p.client.Publish(ctx, &client.Message{Topic: topic, QoS: 1, Retain: true}); err == nil {
		err = gone
	}
	if err == nil {
		p.report.Retained = &kept
	}
	return err
}

// comes reports whether a message comes on the topic soon.
func (p *prober) comes(ctx context.Context, topic string, retained bool) (bool, error) {
	soon := time.NewTimer(probeTimeout)
	defer soon.Stop()
	for {
		select {
		case m := <-p.got:
			if m.Topic == topic && m.Retain == retained {
				return true, nil
			}
		case <-soon.C:
			return false, nil
		case <-p.client.Done():
			return false, p.client.Err()
		case <-ctx.Done():
			return false, context.Cause(ctx)
		}
	}
}

// print shows the report to people.
func (p *prober) print() {
	r := &p.report
	word := func(b *bool) string {
		switch {
		case b == nil:
			return "not found out"
		case *b:
			return "yes"
		}
		return "no"
	}
	qos := "not granted"
	if r.QoS != nil {
		qos = fmt.Sprint(*r.QoS)
	}
	p.say("probe       MQTT 3.1 %s, 3.1.1 %s, 5.0 %s", word(&r.MQTT31), word(&r.MQTT311), word(&r.MQTT5))
	p.say("  tried       QoS of 2 asked for: %s; wildcards: %s; shared subscriptions: %s; retained messages: %s",
		qos, word(r.Wildcards), word(r.Shared), word(r.Retained))
	if r.Error != "" {
		p.say("  ended by    %s", r.Error)
	}
}
