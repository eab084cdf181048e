package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/loopmq/loopmq/broker"
	"github.com/loopmq/loopmq/internal/testkit"
)

// patience is how long anything may take.
const patience = 20 * time.Second

// startBroker serves in this process until the test ends, and returns its
// port.
func startBroker(t *testing.T) string {
	t.Helper()
	port, _ := startBrokerAt(t)
	return port
}

// startBrokerAt serves at more URLs, which it returns as they have become.
func startBrokerAt(t *testing.T, more ...string) (port string, urls []string) {
	t.Helper()
	listeners := []broker.Listener{{URL: "mqtt://127.0.0.1:0"}}
	for _, url := range more {
		listeners = append(listeners, broker.Listener{URL: url})
	}
	b, err := broker.New(broker.Config{Listeners: listeners})
	if err != nil {
		t.Fatal(err)
	}
	testkit.Serve(t, b)
	if _, port, err = net.SplitHostPort(b.Addrs()[0].String()); err != nil {
		t.Fatal(err)
	}
	return port, b.URLs()[1:]
}

// startMosquitto serves with Mosquitto until the test ends, with these lines
// in its configuration, and returns its port.
func startMosquitto(t *testing.T, config string) string {
	t.Helper()
	return testkit.Mosquitto(t, config).Port
}

// result is what a run left.
type result struct {
	out, err string
	status   int
}

// run runs a program to its end.
func run(t *testing.T, stdin string, argv ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &errs
	err := cmd.Run()
	if _, exited := errors.AsType[*exec.ExitError](err); err != nil && !exited || ctx.Err() != nil {
		t.Fatalf("%s: %v\n%s%s", strings.Join(argv, " "), err, out.String(), errs.String())
	}
	return result{out.String(), errs.String(), cmd.ProcessState.ExitCode()}
}

// both runs Mosquitto's client and ours with the same arguments.
func both(t *testing.T, verb, stdin string, args ...string) (theirs, ours result) {
	t.Helper()
	theirs = run(t, stdin, append([]string{testkit.Program(t, "mosquitto_"+verb)}, args...)...)
	ours = run(t, stdin, append([]string{loopmq, verb}, args...)...)
	return theirs, ours
}

// TestPubLikeMosquitto publishes with both clients in turn and compares what a
// subscriber that knows neither gets.
func TestPubLikeMosquitto(t *testing.T) {
	port := startBroker(t)
	file := filepath.Join(t.TempDir(), "payload")
	if err := os.WriteFile(file, []byte("from a\nfile"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		args, stdin string
		count       int
	}{
		{"-t t/1 -m hello", "", 1},
		{"-t t/1 -m -5 -q 1", "", 1},
		{"-t t/1 -n -q 2", "", 1},
		{"-t t/1 -f " + file, "", 1},
		{"-t t/1 -s", "all of\nit\n", 1},
		{"-t t/1 -l -q 1", "one\ntwo\n\nlast without end", 4},
		{"-t t/1 -l", "one\r\ntwo\n", 2},
		{"-t t/1 -m again --repeat 3 --repeat-delay 0.01 -q 1", "", 3},
		{"-t t/1 -m x -V mqttv31 -i someone -u name -P word -k 10", "", 1},
		{"-t t/1 -m x -V mqttv5 -q 1 -D publish user-property k v -D publish content-type text -D publish message-expiry-interval 60", "", 1},
		{"-t t/1 -m x -V 5 -x 60 -c -i persistent -D connect receive-maximum 3 -D publish payload-format-indicator 1", "", 1},
		{"-L mqtt://127.0.0.1:PORT/t/1 -m url", "", 1},
	} {
		t.Run(row.args, func(t *testing.T) {
			args := strings.Fields(strings.ReplaceAll(row.args, "PORT", port))
			if !strings.HasPrefix(row.args, "-L") {
				args = append(args, "-h", "127.0.0.1", "-p", port)
			}
			var got [2]string
			for i, argv := range [][]string{append([]string{testkit.Program(t, "mosquitto_pub")}, args...), append([]string{loopmq, "pub"}, args...)} {
				lines := subscribe(t, port, "t/#", row.count)
				if r := run(t, row.stdin, argv...); r.status != 0 || r.out != "" {
					t.Fatalf("%s: status %d, %q %q", argv[0], r.status, r.out, r.err)
				}
				got[i] = <-lines
			}
			if got[0] != got[1] {
				t.Errorf("a subscriber sees\n of mosquitto_pub %q\n of loopmq pub    %q", got[0], got[1])
			}
		})
	}
}

// subscribe has mosquitto_sub print n messages, and returns when it has
// subscribed.
func subscribe(t *testing.T, port, filter string, n int) <-chan string {
	t.Helper()
	cmd := exec.Command("stdbuf", "-oL", testkit.Program(t, "mosquitto_sub"), "-d", "-h", "127.0.0.1", "-p", port, "-V", "mqttv5", "-t", filter, "-q", "2",
		"-C", fmt.Sprint(n), "-F", "=%t|%p|%q|%r|%C|%E|%F|%P")
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	s := bufio.NewScanner(pipe)
	waitLine(t, s, "Subscribed")
	out := make(chan string, 1)
	go func() {
		var got []string
		for s.Scan() {
			if line := s.Text(); strings.HasPrefix(line, "=") {
				got = append(got, line)
			}
		}
		_ = cmd.Wait()
		out <- strings.Join(got, "\n")
	}()
	return out
}

// TestSubLikeMosquitto has both clients print the same retained messages.
func TestSubLikeMosquitto(t *testing.T) {
	port := startBroker(t)
	at := []string{"-h", "127.0.0.1", "-p", port}
	for _, m := range [][]string{
		{"-t", "a/1", "-m", "one"},
		{"-t", "a/2", "-m", `{"v": 2}`, "-q", "1"},
		{"-t", "b", "-m", "drei€", "-V", "5", "-q", "2", "-D", "publish", "user-property", "k", "v", "-D", "publish", "content-type", "text/plain", "-D", "publish", "correlation-data", "c1"},
	} {
		if r := run(t, "", append(append([]string{loopmq, "pub", "-r"}, m...), at...)...); r.status != 0 {
			t.Fatal(r.err)
		}
	}
	for _, row := range []string{
		"-t a/# -C 2", "-t a/# -C 2 -v", "-t a/# -C 2 -N", "-t b -C 1 -v", "-t # -T a/# -C 1", "-t a/1 -t b -q 2 -C 2 -v",
		"-t # -C 3 -F %t:%p:%q:%r:%l:%x:%X:%%", "-t b -C 1 -V 5 -q 2 -F %C|%D|%P|%R|%E|%F|%m", `-t a/1 -C 1 -F a\tb\\n@@`,
		"-t a/2 -C 1 -F %J", "-t b -C 1 -V mqttv5 -F @Y-@m-@d", "-t b -E", "-t a/# --retained-only -C 1",
		"-t a/# -R -W 1", "-t nothing -W 1", "-t a/1 -C 1 -V mqttv31 -i x", "-L mqtt://127.0.0.1:PORT/a/1 -C 1",
		"-t $SYS/none -W 1", "-t a/1 -C 5 -W 1",
	} {
		t.Run(row, func(t *testing.T) {
			t.Parallel()
			args := strings.Fields(strings.ReplaceAll(row, "PORT", port))
			if !strings.HasPrefix(row, "-L") {
				args = append(args, at...)
			}
			theirs, ours := both(t, "sub", "", args...)
			if strings.Contains(row, "%J") { // the time differs, and ours is RFC 3339
				theirs.out, ours.out = cutTime(theirs.out), cutTime(ours.out)
			}
			if theirs.out != ours.out || theirs.status != ours.status {
				t.Errorf("mosquitto_sub: status %d %q\n   loopmq sub: status %d %q %s", theirs.status, theirs.out, ours.status, ours.out, ours.err)
			}
		})
	}
}

func cutTime(json string) string {
	_, rest, _ := strings.Cut(json, `","topic"`)
	return rest
}

func TestSubJSON(t *testing.T) {
	port := startBroker(t)
	at := []string{"-h", "127.0.0.1", "-p", port}
	for topic, payload := range map[string]string{"text": `say "hi"`, "bytes": "\xff\xfe", "json": "[1]"} {
		if r := run(t, payload, append([]string{loopmq, "pub", "-r", "-s", "-t", topic}, at...)...); r.status != 0 {
			t.Fatal(r.err)
		}
	}
	for args, want := range map[string]string{
		"-t text -o json":  `"qos":0,"retain":1,"payloadlen":8,"payload":"say \"hi\""}` + "\n",
		"-t bytes -F %j":   `"qos":0,"retain":1,"payloadlen":2,"payload_b64":"//4="}` + "\n",
		"-t json -F %J":    `"payload":[1]}` + "\n",
		"-t json -F %j":    `"payload":"[1]"}` + "\n",
		"-t bytes -F %b":   "//4=\n",
		"-t text -F %10t|": "      text|\n",
		"-t text -F %-6t|": "text  |\n",
		"-t text -F %.3p":  "say\n",
		"-t text -F %08l":  "00000008\n",
	} {
		r := run(t, "", append(append([]string{loopmq, "sub", "-C", "1"}, strings.Fields(args)...), at...)...)
		if r.status != 0 || !strings.HasSuffix(r.out, want) {
			t.Errorf("%s: status %d, %q; want it to end in %q", args, r.status, r.out, want)
		}
	}
}

// TestRefusedStatus: the exit status says why the server refused, the same
// with both clients.
func TestRefusedStatus(t *testing.T) {
	port := startMosquitto(t, "allow_anonymous false")
	for _, row := range []struct {
		verb, args string
		status     int
	}{
		{"pub", "-t t -m x", 5},
		{"pub", "-t t -m x -V mqttv5", 135},
		{"sub", "-t t -W 5", 5},
		{"sub", "-t t -W 5 -V mqttv5", 135},
	} {
		theirs, ours := both(t, row.verb, "", append(strings.Fields(row.args), "-h", "127.0.0.1", "-p", port)...)
		if ours.status != row.status || theirs.status != row.status {
			t.Errorf("%s %s: ours %d, theirs %d, want %d", row.verb, row.args, ours.status, theirs.status, row.status)
		}
		if !strings.Contains(ours.err, "connection refused: not authorized") || strings.Count(ours.err, "\n") != 1 {
			t.Errorf("%s %s: says %q", row.verb, row.args, ours.err)
		}
	}
}

func TestClientMistakes(t *testing.T) {
	for args, want := range map[string]string{
		"pub -t t":                                      "nothing to publish; add -m, -n, -f, -s or -l",
		"pub -m x":                                      "no topic; add -t",
		"pub -t t -m x -n":                              "only one of -m, -n, -f, -s and -l",
		"pub -t t -m x -q 3":                            "--qos 3: QoS is 0, 1 or 2",
		"pub -t t -m x -V 6":                            "use mqttv31, mqttv311 or mqttv5",
		"pub -t t -m x extra":                           `unexpected argument "extra"`,
		"pub -t t -m x -p 0":                            "a port is 1 to 65535",
		"pub -t t -m x -c":                              "add -i",
		"pub -t t -m x --will-qos 1":                    "a will needs --will-topic",
		"pub -t t -m x --cert a":                        "--cert and --key belong together",
		"pub -t t -m x --cafile /none":                  "/none",
		"pub -t t -m x -D publish topic-alias 1":        "add -V mqttv5",
		"pub -t t -m x -V 5 -D publish speed 1":         `-D publish speed 1: property "speed" is not known`,
		"pub -t t -m x -V 5 -D publish user-property a": "a user property has a name and a value",
		"pub -t t -m x -V 5 -D connect topic-alias 1":   "does not belong here",
		"pub -t t -m x -V 5 -D ping topic-alias 1":      `"ping" is not a packet`,
		"pub -t t -m x -L localhost":                    "no scheme",
		"sub":                                           "no filter; add -t",
		"sub -t t -F %Z":                                "%Z is not known",
		"sub -t t -F 100%":                              "a single % at the end",
		"sub -t t -W 0":                                 "more than 0 seconds",
		"sub -t t -C 0":                                 "at least 1",
		"rr -t t -m x -V mqttv311":                      "no response topic; add -e",
		"rr -t t -e e":                                  "one of -m, -n, -f and -s is needed",
		"check localhost":                               "no scheme",
		"check --timeout 0s":                            "more than 0",
		"check --nosuch":                                "nosuch",
		"check --count -1":                              "at least 0",
		"check --cafile /none unix:///x":                "a unix socket has no TLS",
		"check ws://127.0.0.1:0/mqtt":                   "a port is 1 to 65535",
		"check --ws-header a:b mqtt://h":                "mqtt://h:1883 is no WebSocket",
		"check --ws-header novalue ws://h":              `write "NAME: VALUE"`,
		"check --ws-header Upgrade:x ws://h":            "the client sets that one itself",
		"pub -t t -m x --ws -L ws://h":                  "--ws belongs to -h and -p",
		"pub -m x -L ws://h/mqtt":                       "the path of a ws URL is the WebSocket's",
		"sub -L ws://h/mqtt":                            "the path of a ws URL is the WebSocket's",
		"pub -t t -m x -h ws://h":                       "a URL goes behind -L",
	} {
		r := run(t, "", append([]string{loopmq}, strings.Fields(args)...)...)
		if r.status != 2 || !strings.Contains(r.err, want) {
			t.Errorf("%s: status %d, %q; want 2 and %q", args, r.status, r.err, want)
		}
	}
	_, port, _ := net.SplitHostPort(testkit.FreeAddr(t))
	for _, args := range []string{"pub -t t -m x", "sub -t t", "rr -t t -e e -m x", "sub -t t -W 1e10", "rr -t t -e e -m x -W 1e10"} {
		r := run(t, "", append(append([]string{loopmq}, strings.Fields(args)...), "-h", "127.0.0.1", "-p", port)...)
		if r.status != 1 || !strings.Contains(r.err, "127.0.0.1:"+port) || strings.Count(r.err, "\n") != 1 {
			t.Errorf("%s, nobody listens: status %d, %q", args, r.status, r.err)
		}
	}
}

func TestRequestResponse(t *testing.T) {
	port := startBroker(t)
	at := []string{"-h", "127.0.0.1", "-p", port}
	// The one who answers is made of sub and pub.
	answer := exec.Command(loopmq, append([]string{"sub", "-V", "5", "-t", "ask", "-C", "2", "-d", "-F", "%R"}, at...)...)
	out, err := answer.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	errs, err := answer.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := answer.Start(); err != nil {
		t.Fatal(err)
	}
	waitLine(t, bufio.NewScanner(errs), "subscribed")
	go func() {
		for s := bufio.NewScanner(out); s.Scan(); {
			run(t, "", append([]string{loopmq, "pub", "-t", s.Text(), "-m", "42"}, at...)...)
		}
	}()
	for _, args := range []string{"-e own/response -v", "-q 1"} { // in the second the broker says where
		r := run(t, "", append(append([]string{loopmq, "rr", "-t", "ask", "-m", "?", "-W", "10"}, strings.Fields(args)...), at...)...)
		if r.status != 0 || !strings.HasSuffix(r.out, "42\n") {
			t.Errorf("%s: status %d, %q %q", args, r.status, r.out, r.err)
		}
	}
	if err := answer.Wait(); err != nil {
		t.Error(err)
	}
	if r := run(t, "", append([]string{loopmq, "rr", "-t", "nobody", "-e", "x", "-m", "?", "-W", "0.2"}, at...)...); r.status != 27 || !strings.Contains(r.err, "no response") {
		t.Errorf("nobody answers: status %d, %q", r.status, r.err)
	}
}

func TestCheck(t *testing.T) {
	port := startBroker(t)
	r := run(t, "", loopmq, "check", "mqtt://127.0.0.1:"+port)
	for _, step := range []string{"connect", "subscribe", "publish", "receive", "disconnect"} {
		if !strings.Contains(r.out, "\n"+step) && !strings.HasPrefix(r.out, step) {
			t.Errorf("step %s is missing in\n%s", step, r.out)
		}
	}
	if r.status != 0 || r.err != "" {
		t.Errorf("status %d, %q", r.status, r.err)
	}
	r = run(t, "", loopmq, "check", "-o", "json", "-V", "5", "--qos", "2", "mqtt://127.0.0.1:"+port)
	if r.status != 0 || !strings.HasPrefix(r.out, `{"ok":true,"server":"127.0.0.1:`+port) {
		t.Errorf("status %d, %q", r.status, r.out)
	}
	if r := run(t, "", loopmq, "check", "-q", "mqtt://127.0.0.1:"+port); r.status != 0 || r.out+r.err != "" {
		t.Errorf("-q: status %d, %q", r.status, r.out+r.err)
	}
	port = startMosquitto(t, "allow_anonymous false")
	if r := run(t, "", loopmq, "check", "mqtt://a:b@127.0.0.1:"+port); r.status != 5 || !strings.Contains(r.err, "not authorized") || strings.Contains(r.err, "a:b") {
		t.Errorf("refused: status %d, %q", r.status, r.err)
	}
	mute, err := net.Listen("tcp", "127.0.0.1:0") // takes connections and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer mute.Close()
	if r := run(t, "", loopmq, "check", "--timeout", "200ms", "mqtt://"+mute.Addr().String()); r.status != 1 || !strings.Contains(r.err, "no CONNACK in time") {
		t.Errorf("mute server: status %d, %q", r.status, r.err)
	}
}
