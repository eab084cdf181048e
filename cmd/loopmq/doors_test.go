package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"github.com/loopmq/loopmq/internal/testkit"
)

// certificates are what a test's doors and clients need, as files and not.
type certificates struct {
	ca, server, serverKey, client, clientKey, dir string // files
	pair                                          tls.Certificate
	pool                                          *x509.CertPool
}

func makeCertificates(t *testing.T) *certificates {
	t.Helper()
	ca := testkit.Authority("TestCA")
	server := testkit.Sign(testkit.Host("server", "localhost"), ca)
	c := &certificates{pair: server.TLS(), pool: ca.Pool(), dir: t.TempDir()}
	files := t.TempDir()
	c.ca, _ = ca.Save(files, "TestCA")
	c.server, c.serverKey = server.Save(files, "server")
	c.client, c.clientKey = testkit.Sign(testkit.Host("client", "localhost"), ca).Save(files, "client")
	testkit.WritePEM(filepath.Join(c.dir, "hashed.0"), "CERTIFICATE", ca.Raw)
	return c
}

// pipe copies both ways until one side ends.
func pipe(a, b net.Conn) {
	go func() {
		_, _ = io.Copy(a, b)
		a.Close()
	}()
	_, _ = io.Copy(b, a)
	b.Close()
}

// bridge accepts on l and pipes to the broker's port.
func bridge(t *testing.T, l net.Listener, port string) {
	t.Helper()
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				b, err := net.Dial("tcp", "127.0.0.1:"+port)
				if err != nil {
					c.Close()
					return
				}
				pipe(c, b)
			}()
		}
	}()
}

// webBridge is a WebSocket door in front of the broker's port, at /mqtt, made
// by others than us. It returns HOST:PORT.
func webBridge(t *testing.T, port string, cfg *tls.Config) string {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("/mqtt", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("login") != "" && r.Header.Get("X-Token") != "secret" {
			http.Error(w, "no token", http.StatusUnauthorized)
			return
		}
		ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{"mqtt"}})
		if err != nil {
			return
		}
		ws.SetReadLimit(1 << 20)
		b, err := net.Dial("tcp", "127.0.0.1:"+port)
		if err != nil {
			ws.Close(websocket.StatusInternalError, "")
			return
		}
		pipe(websocket.NetConn(context.Background(), ws, websocket.MessageBinary), b)
	})
	s := httptest.NewUnstartedServer(mux)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	if s.TLS = cfg; cfg != nil {
		s.StartTLS()
	} else {
		s.Start()
	}
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// door is a way to a broker: flags, and what stands in front of the URL.
type door struct{ name, flags, url string }

// doors are all ways to the broker on port. login is USER:PASSWORD@ or empty.
func doors(t *testing.T, port string, certs *certificates, login string) []door {
	t.Helper()
	secure := func() net.Listener {
		l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{certs.pair}, NextProtos: []string{"mqtt"}})
		if err != nil {
			t.Fatal(err)
		}
		bridge(t, l, port)
		return l
	}()
	path := filepath.Join(t.TempDir(), "mq %#.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	bridge(t, l, port)
	plain, tlsAt := webBridge(t, port, nil), webBridge(t, port, &tls.Config{Certificates: []tls.Certificate{certs.pair}})
	ca := "--cafile " + certs.ca
	list := []door{
		{"mqtt", "", "mqtt://" + login + "127.0.0.1:" + port},
		{"tcp", "", "tcp://" + login + "127.0.0.1:" + port},
		{"mqtts", ca, "mqtts://" + login + secure.Addr().String()},
		{"ssl", "--capath " + certs.dir, "ssl://" + login + secure.Addr().String()},
		{"tls", ca + " --alpn mqtt", "tls://" + login + secure.Addr().String()},
		{"tls by flag", ca, "mqtt://" + login + secure.Addr().String()},
		{"tls insecure", "--insecure --tls-alpn mqtt --tls-version tlsv1.3", "mqtts://" + login + secure.Addr().String()},
		{"ws", "", "ws://" + login + plain + "/mqtt"},
		{"ws without path", "", "ws://" + login + plain},
		{"ws with header", "--ws-header X-Token:secret", "ws://" + login + plain + "/mqtt?login=1"},
		{"wss", ca, "wss://" + login + tlsAt + "/mqtt"},
		{"unix", "", "unix://" + login + strings.NewReplacer("%", "%25", " ", "%20", "#", "%23").Replace(path)},
	}
	return list
}

// TestDoors: every client goes through every door, to our broker and with a
// login to Mosquitto.
func TestDoors(t *testing.T) {
	certs := makeCertificates(t)
	passwords := filepath.Join(t.TempDir(), "passwords")
	if r := run(t, "", testkit.Program(t, "mosquitto_passwd"), "-c", "-b", passwords, "me@home", "p:/w"); r.status != 0 {
		t.Fatal(r.err)
	}
	ours, urls := startBrokerAt(t, "ws://127.0.0.1:0/mqtt", "unix://"+filepath.Join(t.TempDir(), "own.sock"))
	theirs := startMosquitto(t, "allow_anonymous false\npassword_file "+passwords)
	answer := func(port string, login ...string) { // who answers rr
		cmd, out, errs := startSub(t, append([]string{"-V", "5", "-t", "ask/#", "-d", "-F", "%R", "-h", "127.0.0.1", "-p", port}, login...)...)
		_ = cmd
		waitLine(t, errs, "subscribed")
		go func() {
			for out.Scan() {
				args := append([]string{loopmq, "pub", "-h", "127.0.0.1", "-p", port, "-t", out.Text(), "-m", "42"}, login...)
				run(t, "", args...)
			}
		}()
	}
	answer(ours)
	answer(theirs, "-u", "me@home", "-P", "p:/w")
	for broker, list := range map[string][]door{
		"ours":      append(doors(t, ours, certs, ""), door{"own ws", "", urls[0]}, door{"own unix", "", urls[1]}),
		"mosquitto": doors(t, theirs, certs, "me%40home:p%3A%2Fw@"),
	} {
		for i, d := range list {
			t.Run(broker+"/"+d.name, func(t *testing.T) {
				flags := strings.Fields(d.flags)
				client := func(verb string, args ...string) result {
					return run(t, "", append(append(append([]string{loopmq, verb}, flags...), "-L", d.url), args...)...)
				}
				topic := fmt.Sprint("door/", i)
				if r := client("pub", "-r", "-q", "1", "-t", topic, "-m", d.name); r.status != 0 || r.err != "" {
					t.Errorf("pub: %d %s", r.status, r.err)
				}
				if r := client("sub", "-t", topic, "-C", "1", "-W", "10"); r.status != 0 || r.out != d.name+"\n" {
					t.Errorf("sub: %d %q %s", r.status, r.out, r.err)
				}
				if r := client("rr", "-t", "ask/"+topic, "-e", "answer/"+topic, "-m", "?", "-W", "10"); r.status != 0 || r.out != "42\n" {
					t.Errorf("rr: %d %q %s", r.status, r.out, r.err)
				}
				r := run(t, "", append(append([]string{loopmq, "check", "-t", "mg/test", "-m", "hello"}, flags...), d.url)...)
				if r.status != 0 || !strings.Contains(r.out, "mg/test, QoS 1 granted") {
					t.Errorf("check: %d %q %s", r.status, r.out, r.err)
				}
			})
		}
	}
}

// TestOwnWebSocketRefuses: what our own listener answers makes one line.
func TestOwnWebSocketRefuses(t *testing.T) {
	port, urls := startBrokerAt(t, "ws://127.0.0.1:0/mqtt")
	for url, want := range map[string]string{
		strings.TrimSuffix(urls[0], "mqtt") + "other":   "answers 404 Not Found to the WebSocket request (\"LoopMQ: ",
		strings.Replace(urls[0], "ws://", "mqtt://", 1): "the server speaks HTTP there; use ws://",
		strings.Replace(urls[0], "ws://", "wss://", 1):  "use ws://",
		"ws://127.0.0.1:" + port:                        "closes the connection without an answer to the WebSocket request",
		"mqtts://127.0.0.1:" + port:                     "it may not speak TLS there: then use mqtt://",
	} {
		r := run(t, "", loopmq, "check", url)
		if r.status != 1 || !strings.Contains(r.err, want) || strings.Count(r.err, "\n") != 1 {
			t.Errorf("%s: %d %q, want %q", url, r.status, r.err, want)
		}
	}
}

// TestLoginThroughWebSocket: log in, subscribe, publish, receive and leave,
// all inside WebSocket messages, at our own listener.
func TestLoginThroughWebSocket(t *testing.T) {
	users := filepath.Join(t.TempDir(), "users")
	if r := run(t, "", loopmq, "passwd", "-c", "-b", users, "amy", "s3cr@t"); r.status != 0 {
		t.Fatal(r.err)
	}
	_, log := startServe(t, "--listen", "ws://127.0.0.1:0/mqtt", "--password-file", users, "--log-format", "logfmt")
	at := field(t, waitLine(t, log, "listening on"), "ws://")
	args := []string{loopmq, "check", "-t", "mg/test", "-m", "hello"}
	r := run(t, "", append(args, "ws://amy:s3cr%40t@"+at)...)
	var steps []string
	for line := range strings.Lines(r.out) {
		steps = append(steps, strings.Fields(line)[0])
	}
	if got := strings.Join(steps, " "); r.status != 0 || got != "tcp websocket connect subscribe publish receive disconnect" {
		t.Errorf("status %d, steps %s, %s", r.status, got, r.err)
	}
	r = run(t, "", append(args, "ws://amy:wrong@"+at)...)
	if r.status != 4 || !strings.HasSuffix(r.err, "/mqtt: connection refused: bad user name or password\n") {
		t.Errorf("a wrong password: %d %q", r.status, r.err)
	}
	if r = run(t, "", append(args, "-u", "amy", "-P", "s3cr@t", "ws://"+at)...); r.status != 0 {
		t.Errorf("-u and -P: %d %q", r.status, r.err)
	}
}

// TestHostAndPort: -h, -p, --ws and --unix instead of a URL.
func TestHostAndPort(t *testing.T) {
	certs := makeCertificates(t)
	port := startBroker(t)
	split := func(at string) []string {
		host, port, err := net.SplitHostPort(at)
		if err != nil {
			t.Fatal(err)
		}
		return []string{"-h", host, "-p", port}
	}
	path := filepath.Join(t.TempDir(), "a?b%41.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	bridge(t, l, port)
	for _, args := range [][]string{
		append(split(webBridge(t, port, nil)), "--ws"),
		append(split(webBridge(t, port, &tls.Config{Certificates: []tls.Certificate{certs.pair}})), "--ws", "--cafile", certs.ca),
		{"--unix", path},
	} {
		if r := run(t, "", append([]string{loopmq, "pub", "-t", "t", "-m", "x", "-q", "1"}, args...)...); r.status != 0 {
			t.Errorf("%v: %s", args, r.err)
		}
	}
}

// TestMosquittoTLS: its listener for TLS, with and without certificates of the
// clients.
func TestMosquittoTLS(t *testing.T) {
	certs := makeCertificates(t)
	listener := "cafile " + certs.ca + "\ncertfile " + certs.server + "\nkeyfile " + certs.serverKey + "\nallow_anonymous true\n"
	open := startMosquitto(t, listener)
	mutual := startMosquitto(t, listener+"require_certificate true\nuse_identity_as_username true\n")
	ca, cert := "--cafile "+certs.ca, " --cert "+certs.client+" --key "+certs.clientKey
	for _, row := range []struct {
		flags, url string
		status     int
		says       string
	}{
		{ca, "mqtts://localhost:" + open, 0, ""},
		{ca + cert, "mqtts://localhost:" + mutual, 0, ""},
		{ca + cert + " --tls-version tlsv1.3", "mqtts://127.0.0.1:" + mutual, 0, ""},
		{ca, "mqtts://localhost:" + mutual, 1, "client certificate"},
		{"", "mqtts://localhost:" + open, 1, `signed by "CN=TestCA", which is not trusted here; give the authority's certificate with --cafile`},
		{ca, "mqtts://127.0.0.2:" + open, 1, "connect to mqtts://127.0.0.2:"},
		{"", "mqtt://localhost:" + open, 1, "mqtts://"},
		{"--insecure", "wss://localhost:" + open, 1, "it may not speak HTTP there"},
	} {
		for _, verb := range [][]string{{"check"}, {"pub", "-t", "t", "-m", "x", "-q", "1", "-L"}} {
			args := append(append([]string{loopmq, verb[0]}, strings.Fields(row.flags)...), append(verb[1:], row.url)...)
			r := run(t, "", args...)
			if r.status != row.status || !strings.Contains(r.err, row.says) || strings.Count(r.err, "\n") != row.status {
				t.Errorf("%s %s %s: status %d, %q; want %q", verb[0], row.flags, row.url, r.status, r.err, row.says)
			}
		}
	}
}

// TestCheckOnATerminal: what a certificate says does nothing to it.
func TestCheckOnATerminal(t *testing.T) {
	pair := testkit.Sign(testkit.Host("e\x1b[2Jx"), nil).TLS()
	at := webBridge(t, startBroker(t), &tls.Config{Certificates: []tls.Certificate{pair}})
	r := run(t, "", loopmq, "check", "--insecure", "wss://"+at+"/mqtt")
	if r.status != 0 || !strings.Contains(r.out, "certificate CN=e[2Jx, signed by CN=e[2Jx, until ") || strings.Contains(r.out, "\x1b") {
		t.Errorf("status %d, %q, %q", r.status, r.err, r.out)
	}
}

// TestCheckReport: what check tells of TLS, of a 5.0 server and of its latency.
func TestCheckReport(t *testing.T) {
	certs := makeCertificates(t)
	at := webBridge(t, startBroker(t), &tls.Config{Certificates: []tls.Certificate{certs.pair}})
	args := []string{loopmq, "check", "-V", "5", "--count", "10", "--probe", "--cafile", certs.ca}
	r := run(t, "", append(args, "wss://u:secret@"+at+"/mqtt?token=secret")...)
	for _, want := range []string{
		"\ntls ", "TLS 1.3, ", "certificate CN=server, signed by CN=TestCA, until ", " (10 days)\n", "certificate CN=TestCA, signed by CN=TestCA",
		"\nwebsocket ", "/mqtt, subprotocol mqtt\n", "\nconnect ", "offers      QoS 2, retained messages, ", "limits      packets of ",
		"\nlatency ", "ms  p50 of 10 round trips; p99 ", "\ndisconnect", "probe       MQTT 3.1 yes, 3.1.1 yes, 5.0 yes", "retained messages: yes",
	} {
		if !strings.Contains(r.out, want) {
			t.Errorf("%q is missing in\n%s", want, r.out)
		}
	}
	if r.status != 0 || r.err != "" || strings.Contains(r.out, "secret") {
		t.Errorf("status %d, %q\n%s", r.status, r.err, r.out)
	}
	r = run(t, "", append(args, "--json", "wss://u:secret@"+at+"/mqtt?token=secret")...)
	var got checkReport
	if err := json.Unmarshal([]byte(r.out), &got); err != nil {
		t.Fatalf("%v in %q", err, r.out)
	}
	if !got.OK || got.URL != "wss://"+at+"/mqtt" || got.TLS == nil || !got.TLS.Verified || len(got.TLS.Chain) != 2 || got.TLS.Chain[0].Days != 10 ||
		got.Capabilities == nil || got.Capabilities.MaximumQoS != 2 || got.Latency == nil || got.Latency.Count != 10 ||
		got.Probe == nil || got.Probe.Shared == nil || !*got.Probe.Shared || got.Attempts != 1 || strings.Contains(r.out, "secret") {
		t.Errorf("got %s", r.out)
	}
	r = run(t, "", loopmq, "check", "-o", "json", "wss://"+at+"/mqtt")
	if r.status != 1 || !strings.Contains(r.out, `"ok":false`) || !strings.Contains(r.out, "--cafile") || !strings.Contains(r.out, `"step":"tcp"`) {
		t.Errorf("not trusted: %d %q", r.status, r.out)
	}
}

// TestCheckRetry: the server comes up while check tries.
func TestCheckRetry(t *testing.T) {
	port := startBroker(t)
	path := filepath.Join(t.TempDir(), "late.sock")
	cmd, out, errs := startClient(t, "check", "--retry", "--timeout", "20s", "unix://"+path)
	waitLine(t, errs, "there is no such socket; next attempt in ")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	bridge(t, l, port)
	waitLine(t, out, "disconnect")
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	r := run(t, "", loopmq, "check", "-q", "--retry", "--timeout", "300ms", "unix://"+path+".none")
	if r.status != 1 || r.out+r.err != "" {
		t.Errorf("-q: %d %q", r.status, r.out+r.err)
	}
	r = run(t, "", loopmq, "check", "--json", "--retry", "--timeout", "300ms", "unix://"+path+".none")
	if r.status != 1 || !strings.Contains(r.out, "there is no such socket (") || !strings.Contains(r.out, "attempts, not done within 300ms)") {
		t.Errorf("the end of the time: %d %q", r.status, r.out)
	}
}

// TestSubReconnectsWebSocket: the door goes and comes back.
func TestSubReconnectsWebSocket(t *testing.T) {
	port := startBroker(t)
	first := webBridge(t, port, nil)
	relay, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, relayed, _ := net.SplitHostPort(first)
	bridge(t, relay, relayed)
	_, _, errs := startSub(t, "-d", "-t", "t", "-L", "ws://u:secret@"+relay.Addr().String()+"/mqtt", "-i", "sub-ws")
	waitLine(t, errs, "subscribed to")
	// Its identifier is taken over: the broker closes the connection.
	thief, _, theirs := startSub(t, "-d", "-t", "t", "-i", "sub-ws", "-h", "127.0.0.1", "-p", port)
	waitLine(t, theirs, "subscribed to")
	_ = thief.Process.Kill()
	line := waitLine(t, errs, "next attempt in")
	if strings.Contains(line, "secret") {
		t.Errorf("says %q", line)
	}
	waitLine(t, errs, "subscribed to")
}

// TestRetry: the server comes up while the clients try.
func TestRetry(t *testing.T) {
	port := startBroker(t)
	for _, row := range []struct{ command, args, want string }{
		{"pub", "-t t -m late -r", ""}, {"sub", "-t t -C 1", "late"}, {"rr", "-t other -e t -m x -W 20", "late"},
	} {
		path := filepath.Join(t.TempDir(), "late.sock")
		args := append([]string{row.command, "--retry", "-L", "unix://" + path}, strings.Fields(row.args)...)
		cmd, out, errs := startClient(t, args...)
		waitLine(t, errs, "loopmq "+row.command+": connect to unix://"+path+": there is no such socket; next attempt in ")
		l, err := net.Listen("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		bridge(t, l, port)
		if row.want != "" {
			waitLine(t, out, row.want)
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("%s: %v", row.command, err)
		}
	}
	r := run(t, "", loopmq, "pub", "--retry", "-p", port, "-V", "5", "-D", "connect", "authentication-method", "none", "-t", "t", "-m", "x")
	if r.status == 0 || strings.Contains(r.err, "next attempt") {
		t.Errorf("a refusal: %d %q", r.status, r.err)
	}
}
