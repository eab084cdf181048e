package transport_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand"
	"net"
	"testing"
	"time"

	"github.com/loopmq/loopmq/internal/testkit"
	"github.com/loopmq/loopmq/loop"
	"github.com/loopmq/loopmq/loop/transport"
)

// identity is a certificate that signs itself, and what trusts it.
type identity struct {
	cert tls.Certificate
	pool *x509.CertPool
}

func newIdentity(t testing.TB) *identity {
	t.Helper()
	like := testkit.Host("broker.example", "broker.example")
	like.IsCA, like.KeyUsage = true, like.KeyUsage|x509.KeyUsageCertSign
	c := testkit.Sign(like, nil)
	return &identity{c.TLS(), c.Pool()}
}

func (id *identity) server() *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{id.cert}, MinVersion: tls.VersionTLS12, NextProtos: []string{"mqtt"}}
}

func (id *identity) client() *tls.Config {
	return &tls.Config{RootCAs: id.pool, ServerName: "broker.example", MinVersion: tls.VersionTLS12}
}

// secured is a server whose connections speak TLS.
type secured struct {
	*server
	id       *identity
	handlers chan *packets
	states   chan tls.ConnectionState
	failures chan error
}

// tlsOptions are what a test wants to be different.
type tlsOptions struct {
	loop    loop.Limits
	limits  transport.TLSLimits
	config  func(*identity) *tls.Config
	packets func(*packets)
}

// eachTLS serves TLS with every engine.
func eachTLS(t *testing.T, o tlsOptions, test func(*secured)) {
	t.Helper()
	var s *secured
	prepare := func(base *server) {
		s = &secured{
			base, newIdentity(t), make(chan *packets, 1024), make(chan tls.ConnectionState, 1024), make(chan error, 1024),
		}
		config := s.id.server()
		if o.config != nil {
			config = o.config(s.id)
		}
		var err error
		base.tls, err = transport.NewTLSDoor(transport.TLSOptions{
			Config: func() *tls.Config { return config }, Complete: base.e.Complete, Limits: o.limits, Pool: base.pool,
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	accept := func(_ *server, c loop.Conn) loop.Handler {
		s := s
		return s.tls.TLS(c, func(c loop.Conn, state *tls.ConnectionState) loop.Handler {
			p := &packets{c: c}
			if o.packets != nil {
				o.packets(p)
			}
			s.states <- *state
			s.handlers <- p
			return p
		}, func(why error) { s.failures <- why })
	}
	eachEngineWith(t, o.loop, prepare, accept, func(*server) { test(s) })
}

// dialTLS connects a client of the standard library.
func (s *secured) dialTLS(config *tls.Config) *tls.Conn {
	s.t.Helper()
	c := tls.Client(s.raw(), config)
	if err := c.Handshake(); err != nil {
		s.t.Fatal(err)
	}
	return c
}

// raw connects without TLS.
func (s *secured) raw() net.Conn {
	s.t.Helper()
	c, err := net.Dial("tcp", s.addr)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	return c
}

// stats returns the counters.
func (s *secured) stats() (stats transport.TLSStats) {
	s.t.Helper()
	s.on(func() { stats = *s.tls.Stats() })
	return stats
}

// echoAll writes all in slices of random length and reads as much back.
func echoAll(c net.Conn, r *mathrand.Rand, all []byte) error {
	wrote := make(chan error, 1)
	go func() {
		rest := all
		for len(rest) > 0 {
			n := min(1+r.Intn(1+r.Intn(40_000)), len(rest))
			if _, err := c.Write(rest[:n]); err != nil {
				wrote <- err
				return
			}
			rest = rest[n:]
		}
		wrote <- nil
	}()
	got := make([]byte, len(all))
	if n, err := io.ReadFull(c, got); err != nil {
		return fmt.Errorf("after %d of %d bytes: %w", n, len(all), err)
	}
	if !bytes.Equal(got, all) {
		return errors.New("the bytes differ")
	}
	return <-wrote
}
