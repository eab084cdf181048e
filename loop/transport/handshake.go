package transport

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/gobwas/ws"
)

// RefusedError closes a connection whose request was not answered with a WebSocket.
type RefusedError struct {
	Status int    // of the HTTP response
	Why    string // a sentence without its full stop
}

func (e *RefusedError) Error() string { return fmt.Sprintf("no WebSocket: %s (%d)", e.Why, e.Status) }

// subprotocols are the names of MQTT that clients ask for; table: the first is what the standard wants
// [MQTT-6.0.0-3], the second is what clients of 3.1 used before it.
var subprotocols = []string{"mqtt", "mqttv3.1"}

const headEnd = "\r\n\r\n"

// shake looks at what a connection begins with. n == 0 with a nil error means that more bytes are needed; searched is
// how many of them were looked at before. Otherwise response is to be sent, and the connection is a WebSocket behind
// the first n bytes, or to be closed with err.
func (d *Door) shake(b []byte, searched int) (req *Request, response []byte, n int, err error) {
	if len(b) > 0 && (b[0] < 'A' || b[0] > 'Z') {
		err = &RefusedError{http.StatusBadRequest, strangers(b[0])}
		return nil, d.refusal(nil, err), 0, err
	}
	within := b[:min(len(b), d.limits.RequestBytesMax)]
	from := min(max(0, searched-len(headEnd)+1), len(within))
	at := bytes.Index(within[from:], []byte(headEnd))
	if at < 0 {
		if len(b) < d.limits.RequestBytesMax {
			return nil, nil, 0, nil
		}
		d.stats.RequestsTooLong++
		err = &RefusedError{
			http.StatusRequestHeaderFieldsTooLarge,
			fmt.Sprintf("the request has more than %d bytes, cookies perhaps", d.limits.RequestBytesMax),
		}
		return nil, d.refusal(nil, err), 0, err
	}
	n = from + at + len(headEnd)
	req, err = parseRequest(string(b[:n]))
	if err == nil {
		response, err = d.upgrade(req, b[:n])
	}
	if err != nil {
		return nil, d.refusal(req, err), n, err
	}
	return req, response, n, nil
}

// strangers says what comes to the wrong door, by its first byte.
func strangers(first byte) string {
	switch first {
	case 0x10:
		return "this is MQTT without WebSocket; use a listener for mqtt"
	case 0x16:
		return "this is TLS; use ws instead of wss, or a listener for wss"
	}
	return "this is no HTTP request"
}

// upgrade makes the response that opens the WebSocket, or says why not.
func (d *Door) upgrade(r *Request, head []byte) ([]byte, error) {
	refuse := func(status int, why string, args ...any) ([]byte, error) {
		return nil, &RefusedError{status, fmt.Sprintf(why, args...)}
	}
	switch {
	case r.method != http.MethodGet:
		return refuse(http.StatusMethodNotAllowed, "only GET is answered here")
	case r.has("Upgrade", "websocket"):
	case r.Header("Sec-WebSocket-Key") != "":
		return refuse(http.StatusBadRequest, "a proxy has taken the header Upgrade away; "+
			"nginx, for one, wants proxy_http_version 1.1 and proxy_set_header for Upgrade and Connection")
	case r.Path == d.path || r.Path == "/":
		return refuse(http.StatusOK, "this is a door for MQTT over WebSocket, and no web server")
	}
	switch {
	case r.Path != d.path:
		return refuse(http.StatusNotFound, "there is nothing at this address")
	case r.minor == '0':
		return refuse(http.StatusHTTPVersionNotSupported, "WebSocket needs HTTP/1.1; a proxy in between may have to be told so")
	case r.Header("Sec-WebSocket-Version") != "13":
		return refuse(http.StatusUpgradeRequired, "only version 13 of WebSocket is spoken here")
	case !r.has("Connection", "upgrade"):
		return refuse(http.StatusBadRequest, "the header Connection does not say upgrade; a proxy in between may have replaced it")
	case !d.origins.allow(r.Origin):
		return refuse(http.StatusForbidden, "pages of this origin may not connect")
	}
	if r.Subprotocol = chooseSubprotocol(r.Values("Sec-WebSocket-Protocol")); r.Subprotocol == "" {
		return refuse(http.StatusBadRequest, "the client must ask for the subprotocol mqtt")
	}
	// No extension is negotiated, so permessage-deflate is declined: messages of MQTT are small and must not wait.
	memory := &memory{in: head}
	u := ws.Upgrader{Protocol: func(name []byte) bool { return string(name) == r.Subprotocol }}
	if _, err := u.Upgrade(memory); err != nil {
		if rejected, ok := errors.AsType[*ws.ConnectionRejectedError](err); ok {
			return refuse(rejected.StatusCode(), "%s", rejected.Error())
		}
		return refuse(http.StatusBadRequest, "%s", err.Error())
	}
	return memory.out, nil
}

// chooseSubprotocol returns the first name that is known: clients name them in the order of their preference.
func chooseSubprotocol(names []string) string {
	for _, name := range names {
		for _, known := range subprotocols {
			if name == known {
				return known
			}
		}
	}
	return ""
}

// memory is what ws.Upgrader takes for a connection.
type memory struct{ in, out []byte }

// Read implements io.Reader.
func (m *memory) Read(b []byte) (int, error) {
	if len(m.in) == 0 {
		return 0, io.EOF
	}
	n := copy(b, m.in)
	m.in = m.in[n:]
	return n, nil
}

// Write implements io.Writer.
func (m *memory) Write(b []byte) (int, error) {
	m.out = append(m.out, b...)
	return len(b), nil
}

// refusal is the response that says why there is no WebSocket, for people: they see it when they open the address in
// a browser. r is nil if the request could not be read.
func (d *Door) refusal(r *Request, why error) []byte {
	status, text := http.StatusBadRequest, why.Error()
	if e, ok := errors.AsType[*RefusedError](why); ok {
		status, text = e.Status, e.Why
	}
	body := "LoopMQ: " + text + ".\n\nMQTT clients connect to " + d.address(r) + ", subprotocol mqtt.\n"
	var out strings.Builder
	out.WriteString("HTTP/1.1 " + strconv.Itoa(status) + " " + http.StatusText(status) + "\r\n" +
		"Content-Type: text/plain; charset=utf-8\r\n" +
		"Content-Length: " + strconv.Itoa(len(body)) + "\r\n" +
		"X-Content-Type-Options: nosniff\r\n" +
		"Cache-Control: no-store\r\n" +
		"Connection: close\r\n")
	switch status {
	case http.StatusMethodNotAllowed:
		out.WriteString("Allow: GET\r\n")
	case http.StatusUpgradeRequired:
		out.WriteString("Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n")
	}
	out.WriteString("\r\n")
	if r == nil || r.method != http.MethodHead {
		out.WriteString(body)
	}
	return []byte(out.String())
}

// address is the URL to use, as far as the request tells how the client sees us.
func (d *Door) address(r *Request) string {
	scheme, path := "ws", (&url.URL{Path: d.path}).EscapedPath()
	if d.secure || r != nil && r.Header("X-Forwarded-Proto") == "https" {
		scheme = "wss"
	}
	if r != nil && r.Host != "" && strings.Trim(r.Host, hostBytes) == "" {
		return scheme + "://" + r.Host + path
	}
	return scheme + ":// on this host and port, path " + path
}

// hostBytes may stand in a host and port.
const hostBytes = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_:[]"
