package client

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"time"
	"unicode"
)

// explained is an error in words that say what was found and what to do.
type explained struct {
	text string
	err  error // what it explains
}

func (e *explained) Error() string { return e.text }
func (e *explained) Unwrap() error { return e.err }

func explain(err error, format string, args ...any) error {
	return &explained{printable(fmt.Sprintf(format, args...)), err}
}

// printable leaves out what would do something to a terminal: a server may have
// chosen the text.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) || r == unicode.ReplacementChar {
			return -1
		}
		return r
	}, text)
}

// explainDial says why there is no connection of the network.
func explainDial(ctx context.Context, s *Server, err error) error {
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		switch {
		case dns.IsNotFound:
			return explain(err, "host %q has no address: no such name is known here", s.Host)
		case dns.IsTimeout || ctx.Err() != nil:
			return explain(err, "the name server does not answer for host %q", s.Host)
		}
		return explain(err, "look up host %q: %s", s.Host, dns.Err)
	}
	switch {
	case ctx.Err() != nil:
		return explain(err, "no connection in time: %v", context.Cause(ctx))
	case errors.Is(err, context.DeadlineExceeded): // the dialer's clock, a moment before ours
		return explain(err, "no connection in time: the host does not answer")
	case errors.Is(err, syscall.ECONNREFUSED) && s.WebSocket && s.implied:
		return explain(err, "connection refused: nobody listens there; without a port the URL means that of web servers, brokers often have 8083 (ws) and 8084 (wss)")
	case errors.Is(err, syscall.ECONNREFUSED):
		return explain(err, "connection refused: nobody listens there")
	case s.Network == "unix" && errors.Is(err, syscall.ENOENT):
		return explain(err, "there is no such socket")
	case errors.Is(err, syscall.EACCES) && s.Network == "unix":
		return explain(err, "permission denied: the socket or its folder belongs to others")
	}
	if op, ok := errors.AsType[*net.OpError](err); ok {
		return explain(err, "%v", op.Err) // without the address, which stands in front
	}
	return err
}

// explainTLS says why there is no TLS, or that it was ended. name is what the
// certificate must be for.
func explainTLS(s *Server, name string, err error) error {
	if e, ok := errors.AsType[x509.HostnameError](err); ok {
		return explain(err, "TLS: the server's certificate is for %s, not for %s", names(e.Certificate), name)
	}
	if e, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return explain(err, "TLS: %s", untrusted(err, e.Cert))
	}
	if e, ok := errors.AsType[x509.CertificateInvalidError](err); ok {
		return explain(err, "TLS: %s", invalid(e))
	}
	if e, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		what := "what answers is not TLS"
		if bytes.HasPrefix(e.RecordHeader[:], []byte("HTTP")) {
			what = "what answers is HTTP without TLS"
		}
		return explain(err, "TLS: %s; use %s, or the server's port for TLS", what, withoutTLS(s))
	}
	if alert := remoteAlert(err); alert != nil {
		return alert
	}
	if ended(err) {
		return explain(err, "TLS: the server closes the connection in the handshake; it may not speak TLS there: then use %s", withoutTLS(s))
	}
	return explain(err, "TLS: %v", err)
}

// untrusted says who signed. at is the certificate where the chain ends.
func untrusted(err error, at *x509.Certificate) string {
	leaf := at
	if e, ok := errors.AsType[*tls.CertificateVerificationError](err); ok && len(e.UnverifiedCertificates) > 0 {
		leaf = e.UnverifiedCertificates[0]
	}
	switch {
	case leaf == nil || at == nil:
		return "nobody who is trusted here signed the server's certificate"
	case bytes.Equal(leaf.RawIssuer, leaf.RawSubject):
		return fmt.Sprintf("the server's certificate (%s) is signed by itself and not trusted here", leaf.Subject)
	}
	return fmt.Sprintf("the server's certificate is signed by %q, which is not trusted here", at.Issuer)
}

// names are the hosts that a certificate is for.
func names(c *x509.Certificate) string {
	all := append([]string(nil), c.DNSNames...)
	for _, ip := range c.IPAddresses {
		all = append(all, ip.String())
	}
	switch {
	case len(all) == 0:
		return fmt.Sprintf("no host at all (it is %q and has no subject alternative names)", c.Subject)
	case len(all) > 5:
		all = append(all[:5], "...")
	}
	return strings.Join(all, ", ")
}

// invalid says what is wrong with a certificate.
func invalid(e x509.CertificateInvalidError) string {
	whose := "a certificate of the server's chain"
	if e.Cert == nil {
		return whose + ": " + e.Error()
	}
	if !e.Cert.IsCA {
		whose = "the server's certificate"
	}
	now := time.Now()
	switch {
	case e.Reason == x509.Expired && now.After(e.Cert.NotAfter):
		return fmt.Sprintf("%s (%s) expired on %s", whose, e.Cert.Subject, e.Cert.NotAfter.UTC().Format(time.DateOnly))
	case e.Reason == x509.Expired:
		return fmt.Sprintf("%s (%s) is not valid before %s; is the clock here right?", whose, e.Cert.Subject, e.Cert.NotBefore.UTC().Format(time.RFC3339))
	case e.Reason == x509.IncompatibleUsage:
		return fmt.Sprintf("%s (%s) is not one for servers", whose, e.Cert.Subject)
	}
	return fmt.Sprintf("%s (%s): %v", whose, e.Cert.Subject, e)
}

// alerted puts a server's alert in words. The alerts themselves are not
// exported, only their texts.
func alerted(text string) string {
	text = strings.TrimPrefix(text, "tls: ")
	switch text {
	case "certificate required":
		return "the server asks for a client certificate"
	case "bad certificate", "handshake failure":
		return fmt.Sprintf("the server refuses (%s); it may ask for a client certificate, or for another one", text)
	case "unknown certificate authority":
		return "the server does not trust the authority of the client certificate"
	case "expired certificate":
		return "the server says that the client certificate has expired"
	case "revoked certificate":
		return "the server says that the client certificate was revoked"
	case "no application protocol":
		return "the server speaks none of the ALPN protocols that were asked for"
	case "protocol version not supported":
		return "the server speaks none of the TLS versions that were asked for"
	case "unrecognized name":
		return "the server is not the one that was asked for (SNI)"
	}
	return "the server refuses: " + text
}

// remoteAlert is err in words if it is a server's alert: with TLS 1.3 the
// server looks at our certificate when our side of the handshake is complete.
func remoteAlert(err error) error {
	if e, ok := errors.AsType[*net.OpError](err); ok && e.Op == "remote error" {
		return explain(err, "TLS: %s", alerted(e.Err.Error()))
	}
	return nil
}

// lastAlert is the alert behind err. Where the server has closed already, a
// write fails before the alert is read, which may still be there.
func lastAlert(conn net.Conn, err error) error {
	if t, ok := conn.(*tls.Conn); ok && ended(err) {
		_, err = t.Read(make([]byte, 1))
	}
	return remoteAlert(err)
}

// ended reports whether the peer closed the connection.
func ended(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// withoutTLS is the URL's beginning without TLS, withTLS the one with it.
func withoutTLS(s *Server) string {
	if s.WebSocket {
		return "ws://"
	}
	return "mqtt://"
}

func withTLS(s *Server) string {
	if s.WebSocket {
		return "wss://"
	}
	return "mqtts://"
}

// stranger says who else answers, by the first bytes of what should have been
// MQTT or HTTP; nil if they are none that are known.
func stranger(s *Server, b []byte) error {
	switch {
	case s.Network == "unix":
		return nil
	case len(b) >= 3 && b[0] == 0x15 && b[1] == 3 && !s.TLS: // an alert
		return fmt.Errorf("the server speaks TLS there; use %s", withTLS(s))
	case bytes.HasPrefix(b, []byte("HTTP/")) && !s.WebSocket:
		web := "ws://"
		if s.TLS {
			web = "wss://"
		}
		return fmt.Errorf("the server speaks HTTP there; use %s with the path of its WebSocket, or its port for MQTT", web)
	}
	return nil
}
