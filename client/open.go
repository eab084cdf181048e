package client

import (
	"context"
	"crypto/tls"
	"net"
	"time"
)

// open makes the connection that MQTT runs on: the network's, then TLS and
// WebSocket where the URL asks for them.
func (o *Options) open(ctx context.Context, s *Server) (net.Conn, error) {
	dial := o.Dial
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	conn, err := dial(ctx, s.Network, s.Address)
	if err != nil {
		return nil, explainDial(ctx, s, err)
	}
	o.reached(StageNetwork, conn)
	if s.TLS {
		t, err := o.secure(ctx, s, conn)
		if err != nil {
			conn.Close()
			return nil, err
		}
		conn = t
		o.reached(StageTLS, conn)
	}
	if s.WebSocket {
		w, err := o.upgrade(ctx, s, conn)
		if err != nil {
			conn.Close()
			return nil, err
		}
		conn = w
		o.reached(StageWebSocket, conn)
	}
	return conn, nil
}

func (o *Options) reached(s Stage, conn net.Conn) {
	if o.OnStage != nil {
		o.OnStage(s, conn)
	}
}

// secure makes the TLS handshake.
func (o *Options) secure(ctx context.Context, s *Server, conn net.Conn) (*tls.Conn, error) {
	cfg := o.TLS.Clone()
	if cfg == nil {
		cfg = new(tls.Config)
	}
	if cfg.ServerName == "" {
		cfg.ServerName = s.Host
	}
	t := tls.Client(conn, cfg)
	if err := t.HandshakeContext(ctx); err != nil {
		if ctx.Err() != nil {
			return nil, explain(context.Cause(ctx), "the TLS handshake is not done in time: %v", context.Cause(ctx))
		}
		return nil, explainTLS(s, cfg.ServerName, err)
	}
	return t, nil
}

// interrupted ends reads and writes on conn when ctx does. stop ends that.
func interrupted(ctx context.Context, conn net.Conn) (stop func() bool) {
	return context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
}

// timeoutError is the end of ConnectTimeout.
type timeoutError time.Duration

func (e timeoutError) Error() string { return "not connected within " + time.Duration(e).String() }

// Is makes it a deadline like all others.
func (e timeoutError) Is(target error) bool { return target == context.DeadlineExceeded }
