package client

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gobwas/ws"
)

// subprotocol is the name of MQTT among WebSockets [MQTT-6.0.0-3].
const subprotocol = "mqtt"

// upgradeBytesMax is the longest response to a request for a WebSocket: what a
// server answers that means well has less than one KiB.
const upgradeBytesMax = 64 << 10

// whyBytesMax is how much is told of each thing that a server says in its refusal.
const whyBytesMax = 256

// UpgradeError is a server that answers a request for a WebSocket with
// anything else.
type UpgradeError struct {
	_ [0]func() // nobody compares two: no code for that

	Status int    // of HTTP
	Text   string // of the status line
	Why    string // the first words of the response; mostly empty
	Advice string // what to do
}

func (e *UpgradeError) Error() string {
	return fmt.Sprintf("the server answers %s to the WebSocket request%s; %s",
		strings.TrimSpace(fmt.Sprint(e.Status, " ", e.Text)), quoted(e.Why), e.Advice)
}

// upgrade asks for a WebSocket.
func (o *Options) upgrade(ctx context.Context, s *Server, conn net.Conn) (*wsConn, error) {
	u, err := url.ParseRequestURI(s.Path)
	if err != nil {
		return nil, fmt.Errorf("path of the WebSocket: %w", err)
	}
	u.Host = hostHeader(s)
	dialer := ws.Dialer{Protocols: []string{subprotocol}, Host: o.Header.Get("Host")}
	if len(o.Header) > 0 {
		h := o.Header.Clone()
		h.Del("Host")
		dialer.Header = ws.HandshakeHeaderHTTP(h)
	}
	var refused *UpgradeError
	seen := &seer{r: io.LimitReader(conn, upgradeBytesMax)}
	dialer.OnStatusError = func(_ int, _ []byte, r io.Reader) {
		_ = conn.SetReadDeadline(time.Now().Add(time.Second)) // the status is enough, if the rest is slow
		refused = refusal(s, r)
	}
	stop := interrupted(ctx, conn)
	defer stop()
	left, agreed, err := dialer.Upgrade(struct {
		io.Reader
		io.Writer
	}{seen, conn}, u)
	if refused == nil && errors.Is(err, ws.ErrHandshakeBadProtocol) { // HTTP/1.0
		refused = refusal(s, bytes.NewReader(seen.first))
	}
	switch {
	case err == nil:
	case refused != nil && refused.Status != http.StatusSwitchingProtocols:
		return nil, refused
	case ctx.Err() != nil:
		return nil, explain(context.Cause(ctx), "no answer to the WebSocket request in time: %v", context.Cause(ctx))
	default:
		if e := lastAlert(conn, err); e != nil {
			return nil, e
		}
		return nil, explainUpgrade(s, seen.first, err)
	}
	if agreed.Protocol != subprotocol {
		return nil, errors.New("the server opens a WebSocket but does not confirm subprotocol mqtt; what serves that path is not MQTT")
	}
	var early []byte
	if left != nil {
		view, _ := left.Peek(left.Buffered())
		early = bytes.Clone(view)
		ws.PutReader(left)
	}
	return newWSConn(conn, early, max(o.PacketBytesMax, frameBytesLeast)), nil
}

// hostHeader is the server as HTTP names it: without the usual port.
func hostHeader(s *Server) string {
	host, port, _ := net.SplitHostPort(s.Address)
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if s.TLS && port == schemes["wss"].port || !s.TLS && port == schemes["ws"].port {
		return host
	}
	return host + ":" + port
}

// seenBytesMax is enough for the head of a response and the first line after.
const seenBytesMax = 1024

// seer remembers the first bytes that are read.
type seer struct {
	r     io.Reader
	first []byte
}

func (s *seer) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	s.first = append(s.first, p[:min(n, seenBytesMax-len(s.first))]...)
	return n, err
}

// refusal reads a response other than 101.
func refusal(s *Server, r io.Reader) *UpgradeError {
	e := &UpgradeError{}
	response, err := http.ReadResponse(bufio.NewReader(r), nil)
	if err != nil {
		return nil
	}
	defer response.Body.Close()
	e.Status = response.StatusCode
	_, text, _ := strings.Cut(response.Status, " ")
	e.Text = printable(text[:min(len(text), whyBytesMax)])
	body := make([]byte, whyBytesMax)
	n, _ := response.Body.Read(body)
	if !strings.Contains(response.Header.Get("Content-Type"), "html") {
		e.Why = firstLine(body[:n])
	}
	e.Advice = advice(s, response)
	return e
}

// firstLine is what a line of log can hold of a text.
func firstLine(b []byte) string {
	line, _, _ := strings.Cut(strings.TrimSpace(string(b)), "\n")
	return printable(line)
}

// advice is what to do about a response.
func advice(s *Server, r *http.Response) string {
	path, _, _ := strings.Cut(s.Path, "?")
	switch r.StatusCode {
	case http.StatusUnauthorized, http.StatusProxyAuthRequired:
		return "it wants a login before MQTT: add a header, such as Authorization"
	case http.StatusForbidden:
		return "it does not let us in: it may want a login, or another Origin header"
	case http.StatusNotFound, http.StatusMethodNotAllowed:
		return fmt.Sprintf("there is no WebSocket at path %s: check the path of the URL", path)
	case http.StatusOK:
		return fmt.Sprintf("path %s is an ordinary page: check the path of the URL", path)
	case http.StatusBadRequest, http.StatusUpgradeRequired:
		also := ""
		if !s.TLS {
			also = ", or the server wants TLS (wss://)"
		}
		return fmt.Sprintf("it takes no WebSocket with subprotocol mqtt at path %s: check the path; a proxy in front must pass Upgrade on%s", path, also)
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return "what stands in front does not reach the broker: try again later"
	case http.StatusTooManyRequests:
		return "try again later"
	}
	if to := r.Header.Get("Location"); r.StatusCode/100 == 3 && to != "" {
		if u, err := url.Parse(to); err == nil {
			switch u.Scheme {
			case "http":
				u.Scheme = "ws"
			case "https":
				u.Scheme = "wss"
			}
			to = u.Redacted()
		}
		return fmt.Sprintf("it sends us on to %q: use that URL", firstLine([]byte(to)))
	}
	return "check the URL"
}

// explainUpgrade says why there is no WebSocket and no answer that refuses it.
func explainUpgrade(s *Server, first []byte, err error) error {
	if e := stranger(s, first); e != nil {
		return e
	}
	switch {
	case ended(err) && len(first) == 0 && s.TLS:
		return explain(err, "the server closes the connection without an answer to the WebSocket request; it may not speak HTTP there")
	case ended(err) && len(first) == 0:
		return explain(err, "the server closes the connection without an answer to the WebSocket request; it may not speak HTTP there, or TLS only (wss://)")
	case !bytes.HasPrefix(first, []byte("HTTP/")) && len(first) > 0:
		return explain(err, "what answers the WebSocket request is not HTTP; use the server's port for WebSocket")
	}
	return explain(err, "the answer to the WebSocket request is no good: %v", err)
}
