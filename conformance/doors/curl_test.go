package doors

import (
	"os/exec"
	"testing"

	"github.com/loopmq/loopmq/internal/testkit"
)

// curl runs it and returns what it printed, headers first. That a connection
// ends in a way that curl does not like is no matter.
func curl(t *testing.T, args ...string) string {
	t.Helper()
	base := []string{"-s", "-S", "-i", "--max-time", "20", "--http1.1"}
	out, _ := exec.Command(testkit.Program(t, "curl"), append(base, args...)...).CombinedOutput()
	return string(out)
}

// upgradeArgs make curl ask for a WebSocket, as RFC 6455 does in section 1.2.
func upgradeArgs(version, protocol string, more ...string) []string {
	return append([]string{
		"-H", "Connection: Upgrade", "-H", "Upgrade: websocket", "-H", "Sec-WebSocket-Version: " + version,
		"-H", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "-H", "Sec-WebSocket-Protocol: " + protocol,
	}, more...)
}

// TestCurl: what somebody sees who opens the address of a WebSocket listener
// with something that is no MQTT client.
func TestCurl(t *testing.T) {
	a := newAuthority(t)
	a.sign("server", year)
	each(t, func(t *testing.T, engine string) {
		s := serve(t, engine, "ws://127.0.0.1:0/mqtt", a.listener("wss://127.0.0.1:0/mqtt", "server"))
		for _, at := range [][]string{{"http://" + s.addr(0)}, {"https://" + s.addr(1), "--cacert", a.path("ca.pem")}} {
			get := func(path string, more ...string) string {
				return curl(t, append(append([]string{at[0] + path}, at[1:]...), more...)...)
			}
			contains(t, get("/"), "HTTP/1.1 200 OK\r\n", "Connection: close\r\n", "this is a door for MQTT over WebSocket")
			contains(t, get("/mqtt"), "HTTP/1.1 200 OK\r\n")
			contains(t, get("/favicon.ico"), "HTTP/1.1 404 Not Found\r\n")
			contains(t, get("/mqtt", "-X", "DELETE"), "HTTP/1.1 405 Method Not Allowed\r\n", "Allow: GET")
			contains(t, get("/mqtt", upgradeArgs("13", "chat, mqtt", "--max-time", "1")...), "HTTP/1.1 101 Switching Protocols\r\n",
				"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n", "Sec-WebSocket-Protocol: mqtt\r\n")
			contains(t, get("/other", upgradeArgs("13", "mqtt")...), "HTTP/1.1 404 Not Found\r\n")
			contains(t, get("/mqtt", upgradeArgs("8", "mqtt")...), "HTTP/1.1 426 Upgrade Required\r\n", "Sec-WebSocket-Version: 13")
			contains(t, get("/mqtt", upgradeArgs("13", "chat")...), "HTTP/1.1 400 Bad Request\r\n", "mqtt")
		}
	})
}

// TestCurlHTTP2: the door speaks HTTP/1.1 only, and says so in a way that
// clients understand who could do more.
func TestCurlHTTP2(t *testing.T) {
	a := newAuthority(t)
	a.sign("server", year)
	each(t, func(t *testing.T, engine string) {
		s := serve(t, engine, "ws://127.0.0.1:0/mqtt", a.listener("wss://127.0.0.1:0/mqtt", "server"))
		// Who offers h2 and http/1.1 gets http/1.1.
		contains(t, output(t, false, "curl", "-sSi", "--http2", "--cacert", a.path("ca.pem"), "https://"+s.addr(1)+"/"), "HTTP/1.1 200 OK")
		// Who insists on HTTP/2 without asking hears of it at once.
		prior := output(t, true, "curl", "-sS", "-v", "--max-time", "20", "--http2-prior-knowledge", "http://"+s.addr(0)+"/")
		contains(t, prior, "curl: (")
		s.log.wait(t, `msg="connection refused"`, "HTTP/2")
	})
}
