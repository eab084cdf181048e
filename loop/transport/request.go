package transport

import (
	"net/http"
	"net/url"
	"strings"
)

// Request is the HTTP request that opened a WebSocket. All its strings are parts of one: what is kept beyond accept
// should be cloned.
type Request struct {
	Host        string // as the client wrote it, with the port if that is not the usual one
	Path        string // decoded
	Query       string // behind the ?, not decoded
	Origin      string // of the page whose script connects; "" for clients that are no browsers
	Subprotocol string // that was agreed on: "mqtt" or "mqttv3.1"

	method string
	minor  byte // HTTP/1.minor, as a digit
	fields []field
}

// field is one line of the head.
type field struct{ name, value string }

// Header returns the first value of a header field, "" if there is none. Upper and lower case in names are the same.
func (r *Request) Header(name string) string {
	for _, f := range r.fields {
		if strings.EqualFold(f.name, name) {
			return f.value
		}
	}
	return ""
}

// Values returns the elements of a header field whose values are lists, over all lines that it has.
func (r *Request) Values(name string) (values []string) {
	for _, f := range r.fields {
		if !strings.EqualFold(f.name, name) {
			continue
		}
		for value := range strings.SplitSeq(f.value, ",") {
			if value = strings.Trim(value, " \t"); value != "" {
				values = append(values, value)
			}
		}
	}
	return values
}

// ForwardedFor returns what X-Forwarded-For says: the client first, the last proxy but one at the end. The client can
// write anything into it; only what proxies of one's own have appended can be believed.
func (r *Request) ForwardedFor() []string { return r.Values("X-Forwarded-For") }

// RealIP returns what X-Real-IP says, which is to be believed only of a proxy of one's own.
func (r *Request) RealIP() string { return r.Header("X-Real-IP") }

// has tells whether a header field that is a list contains token.
func (r *Request) has(name, token string) bool {
	for _, value := range r.Values(name) {
		if strings.EqualFold(value, token) {
			return true
		}
	}
	return false
}

// parseRequest reads a head, which ends in an empty line. What a proxy in front and we could read differently is
// refused: bare CR or LF, lines that go on, blanks before the colon, a body, two values where there is one.
func parseRequest(head string) (*Request, error) {
	line, rest, _ := strings.Cut(head, "\r\n")
	method, line, _ := strings.Cut(line, " ")
	target, version, _ := strings.Cut(line, " ")
	if version == "HTTP/2.0" { // the preface of HTTP/2, RFC 9113, section 3.4
		return nil, &RefusedError{http.StatusHTTPVersionNotSupported, "this is HTTP/2, and HTTP/1.1 is spoken here"}
	}
	minor, ok := strings.CutPrefix(version, "HTTP/1.")
	if !isToken(method) || !ok || len(minor) != 1 || minor[0] < '0' || minor[0] > '9' {
		return nil, &RefusedError{http.StatusBadRequest, "this is no HTTP/1.1 request"}
	}
	u, err := url.ParseRequestURI(target)
	if err != nil {
		return nil, &RefusedError{http.StatusBadRequest, "the address in the request is malformed"}
	}
	r := &Request{method: method, minor: minor[0], Path: u.Path, Query: u.RawQuery}
	for rest != "\r\n" {
		line, rest, _ = strings.Cut(rest, "\r\n")
		name, value, ok := strings.Cut(line, ":")
		if !ok || !isToken(name) || strings.ContainsAny(value, "\r\n\x00") {
			return nil, &RefusedError{http.StatusBadRequest, "the request has a malformed header line"}
		}
		r.fields = append(r.fields, field{name, strings.Trim(value, " \t")})
	}
	for _, name := range []string{"Host", "Origin", "Upgrade", "Sec-WebSocket-Key", "Sec-WebSocket-Version"} {
		if r.count(name) > 1 {
			return nil, &RefusedError{http.StatusBadRequest, "the request has two headers " + name}
		}
	}
	if length := r.Header("Content-Length"); length != "" && length != "0" || r.Header("Transfer-Encoding") != "" {
		return nil, &RefusedError{http.StatusBadRequest, "the request has a body"}
	}
	r.Host, r.Origin = r.Header("Host"), r.Header("Origin")
	return r, nil
}

// count returns how many lines of the head have this name.
func (r *Request) count(name string) (n int) {
	for _, f := range r.fields {
		if strings.EqualFold(f.name, name) {
			n++
		}
	}
	return n
}

// isToken tells whether s is a name as HTTP wants them.
func isToken(s string) bool {
	for _, c := range []byte(s) {
		if !(c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0) {
			return false
		}
	}
	return s != ""
}
