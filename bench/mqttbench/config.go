package mqttbench

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/loopmq/loopmq/client"
)

// Config is one measurement. The names are those of the tool's flags.
type Config struct {
	Broker       string // URL; without a scheme it is tcp
	Clients      int
	Count        int    // messages of each client
	Size         int    // bytes of a payload of zeros, where Payload is nil
	Payload      []byte // the same for every message
	QoS          byte
	Topic        string
	Username     string
	Password     string
	ClientPrefix string        // client identifiers are PREFIX-0, PREFIX-1, ...
	RampUp       time.Duration // over which the clients are started
	Interval     time.Duration // from one message of a client to its next, unless it takes longer
	Wait         time.Duration // for the end of a message's handshake
	TLS          *tls.Config   // for the URLs that ask for it
}

// connectTimeout is that of the tool's MQTT library.
const connectTimeout = 30 * time.Second

// Check completes the URL and says what is wrong, in the words of the flags.
func (c *Config) Check() error {
	switch {
	case strings.HasPrefix(c.Broker, ":"):
		c.Broker = "tcp://127.0.0.1" + c.Broker
	case !strings.Contains(c.Broker, "://"):
		c.Broker = "tcp://" + c.Broker
	}
	if _, err := client.ParseURL(c.Broker); err != nil {
		return fmt.Errorf("-broker: %w", err)
	}
	switch {
	case c.Clients < 1 || c.Clients > clientsMax:
		return fmt.Errorf("-clients %d: 1 to %d", c.Clients, clientsMax)
	case c.Count < 1 || c.Count > countMax:
		return fmt.Errorf("-count %d: 1 to %d", c.Count, countMax)
	case c.Size < 0 || c.Size > payloadMax:
		return fmt.Errorf("-size %d: 0 to %d", c.Size, payloadMax)
	case c.QoS > 2:
		return fmt.Errorf("-qos %d: 0, 1 or 2", c.QoS)
	case c.Topic == "" || strings.ContainsAny(c.Topic, "+#\x00"):
		return fmt.Errorf("-topic %q: one topic, without + and #", c.Topic)
	case c.Username == "" && c.Password != "":
		return errors.New("-password without -username")
	case c.RampUp < 0:
		return errors.New("-ramp-up-time: not below 0")
	case c.Interval < 0:
		return errors.New("-message-interval: not below 0")
	case c.Wait <= 0:
		return errors.New("-wait: more than 0")
	}
	return nil
}

// clientsMax is more than one machine has ports for, countMax more than a day of
// messages; all messages of all clients can be counted.
const (
	clientsMax = 100_000
	countMax   = 1_000_000_000
)

// payloadMax leaves room for the longest topic in the largest packet.
const payloadMax = 268_435_455 - 65535 - 16

// ReadTLS makes the TLS configuration of the tool's flags; empty names are
// files not given.
func ReadTLS(caCert, clientCert, clientKey string, insecure bool) (*tls.Config, error) {
	cfg := &tls.Config{InsecureSkipVerify: insecure}
	switch {
	case clientCert != "" && clientKey == "":
		return nil, errors.New("-client-cert without -client-key")
	case clientCert == "" && clientKey != "":
		return nil, errors.New("-client-key without -client-cert")
	case clientCert != "":
		pair, err := tls.LoadX509KeyPair(clientCert, clientKey)
		if err != nil {
			return nil, fmt.Errorf("-client-cert %s -client-key %s: %w", clientCert, clientKey, err)
		}
		cfg.Certificates = []tls.Certificate{pair}
	}
	if caCert != "" {
		pem, err := os.ReadFile(caCert)
		if err != nil {
			return nil, fmt.Errorf("-broker-ca-cert: %w", err)
		}
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("-broker-ca-cert %s: no certificate in PEM form in it", caCert)
		}
	}
	return cfg, nil
}

// options are those of one client.
func (c *Config) options(id int, m *Meter) client.Options {
	o := client.Options{
		URL: c.Broker, ClientID: fmt.Sprintf("%s-%d", c.ClientPrefix, id), CleanStart: true,
		Username: c.Username, TLS: c.TLS, ConnectTimeout: connectTimeout, Dial: m.dial,
		// A message that was given up stays in flight; it must not stop the next.
		InflightMax: 65535,
	}
	if c.Password != "" {
		o.Password = []byte(c.Password)
	}
	return o
}

// message is what every client sends.
func (c *Config) message() client.Message {
	m := client.Message{Topic: c.Topic, QoS: c.QoS, Payload: c.Payload}
	if m.Payload == nil {
		m.Payload = make([]byte, c.Size)
	}
	return m
}
