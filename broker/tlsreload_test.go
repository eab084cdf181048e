package broker_test

import (
	"crypto/tls"
	"crypto/x509/pkix"
	"net"
	"strings"
	"testing"

	"github.com/loopmq/loopmq/broker"
)

// wiretap keeps what came on a connection, as it came.
type wiretap struct {
	net.Conn
	got []byte
}

func (w *wiretap) Read(b []byte) (int, error) {
	n, err := w.Conn.Read(b)
	w.got = append(w.got, b[:n]...)
	return n, err
}

// longest is the longest TLS record in b.
func longest(b []byte) (n int) {
	for len(b) >= 5 {
		size := int(b[3])<<8 | int(b[4])
		n, b = max(n, size), b[min(len(b), 5+size):]
	}
	return n
}

// TestReloadOfRecordSizes: clients with little memory that are there get the
// records that they can take from the reload on.
func TestReloadOfRecordSizes(t *testing.T) {
	a := newAuthority(t)
	a.sign("server", pkix.Name{}, nil)
	eachEngine(t, func(t *testing.T, engine string) {
		cfg := broker.Config{Engine: engine, Listeners: []broker.Listener{{URL: "mqtts://127.0.0.1:0", TLS: a.server("server")}}}
		b := start(t, cfg)
		wire := &wiretap{Conn: dial(t, b, 0)}
		c := tls.Client(wire, a.client(""))
		expect(t, c, connect3+"\x82\x06\x00\x01\x00\x01t\x00", connack3+"\x90\x03\x00\x01\x00")
		publish := "\x30\x83\x20\x00\x01t" + strings.Repeat("x", 4096)
		wire.got = nil
		expect(t, c, publish, publish)
		if n := longest(wire.got); n < 1024 {
			t.Errorf("records of at most %d bytes before", n)
		}
		small := *cfg.Listeners[0].TLS
		small.RecordBytesMax = 512
		cfg.Listeners = []broker.Listener{{URL: "mqtts://127.0.0.1:0", TLS: &small}}
		reload(t, b, cfg)
		wire.got = nil
		expect(t, c, publish, publish)
		if n := longest(wire.got); n > 600 {
			t.Errorf("a record of %d bytes", n)
		}
	})
}
