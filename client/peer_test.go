package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"github.com/loopmq/loopmq/client"
	"github.com/loopmq/loopmq/codec"
	"github.com/loopmq/loopmq/internal/testkit"
)

// patience is how long anything may take.
const patience = 10 * time.Second

// peer is a server that a test plays by hand, byte by byte.
type peer struct {
	t *testing.T
	net.Conn
}

// meet gives a client a peer: what Dial opens, and who answers. The client's
// CONNECT has been read and answered with connack when it returns.
func meet(t *testing.T, o client.Options, connect, connack string) (*client.Client, *peer) {
	t.Helper()
	p, o := listen(t, o)
	got := make(chan error, 1)
	go func() { got <- errors.Join(p.want(connect), p.say(connack)) }()
	c, err := client.Dial(context.Background(), o)
	if perr := <-got; perr != nil {
		t.Fatal(perr)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Abort)
	return c, p
}

// listen makes the two ends of a connection.
func listen(t *testing.T, o client.Options) (*peer, client.Options) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	mine, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { theirs.Close(); mine.Close() })
	_ = theirs.SetDeadline(time.Now().Add(patience))
	o.URL = "mqtt://scripted"
	o.Dial = func(context.Context, string, string) (net.Conn, error) { return mine, nil }
	return &peer{t, theirs}, o
}

func (p *peer) say(s string) error {
	_, err := p.Write(testkit.Bytes(s))
	return err
}

// want reads exactly these bytes.
func (p *peer) want(s string) error {
	want := testkit.Bytes(s)
	got := make([]byte, len(want))
	n, err := io.ReadFull(p, got)
	if err != nil || string(got) != string(want) {
		return fmt.Errorf("client sent % x %q (%w)\nwant        % x %q", got[:n], got[:n], err, want, want)
	}
	return nil
}

func (p *peer) expect(s string) *peer {
	p.t.Helper()
	if err := p.want(s); err != nil {
		p.t.Fatal(err)
	}
	return p
}

func (p *peer) send(s string) *peer {
	p.t.Helper()
	if err := p.say(s); err != nil {
		p.t.Fatal(err)
	}
	return p
}

// expectEnd reads the end of the connection, with nothing before it.
func (p *peer) expectEnd() {
	p.t.Helper()
	b := make([]byte, 64)
	if n, err := p.Read(b); n > 0 || err == nil || errors.Is(err, context.DeadlineExceeded) {
		p.t.Fatalf("want the end of the connection, got % x, %v", b[:n], err)
	}
}

// within calls f and fails when it takes too long.
func within(t *testing.T, what string, f func() error) error {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- f() }()
	select {
	case err := <-done:
		return err
	case <-time.After(patience):
		t.Fatalf("%s takes longer than %v", what, patience)
		return nil
	}
}

const (
	connect3 = "10 0d 0004 'MQTT' 04 02 003c 0001 'c'"
	connect5 = "10 0e 0004 'MQTT' 05 02 003c 00 0001 'c'"
	connack3 = "20 02 00 00"
	connack5 = "20 03 00 00 00"
)

func options(v codec.Version) client.Options {
	return client.Options{ClientID: "c", CleanStart: true, Version: v}
}
