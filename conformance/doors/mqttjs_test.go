package doors

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"testing"

	"github.com/loopmq/loopmq/internal/testkit"
)

// scripts is where the scripts are and, once npm has installed it, MQTT.js.
const scripts = "testdata/browser/"

func needsMQTTjs(t *testing.T) {
	t.Helper()
	for _, name := range []string{"mqtt", "playwright-core"} {
		if _, err := os.Stat(scripts + "node_modules/" + name + "/package.json"); err != nil {
			t.Fatalf("%s of npm is not installed, and this test needs it; type: make test-deps", name)
		}
	}
}

// TestMQTTjs: MQTT.js through WebSocket, with TLS and without, and through TLS,
// exchanges messages with MQTT.js over TCP, keeps a session and leaves a will.
func TestMQTTjs(t *testing.T) {
	needsMQTTjs(t)
	a := newAuthority(t)
	a.sign("server", year)
	each(t, func(t *testing.T, engine string) {
		s := serve(t, engine, "ws://127.0.0.1:0/mqtt", a.listener("wss://127.0.0.1:0/mqtt", "server"),
			a.listener("mqtts://127.0.0.1:0", "server"), "mqtt://127.0.0.1:0")
		var want []string
		for _, from := range []string{"web", "plain"} {
			for qos := range 3 {
				for _, to := range []string{"web", "plain"} {
					want = append(want, fmt.Sprintf("%s to %s: doors/%s from %s %d", from, to, from, from, qos))
				}
			}
		}
		want = append(want, "web to web: doors/large 200000 bytes 1", "web to plain: doors/large 200000 bytes 1")
		want = append(want, "to plain: doors/kept 1000000 bytes 1", "session true: doors/kept 1000000 bytes 1", "to plain: doors/will gone 1", "done")
		for _, version := range []string{"4", "5"} {
			for i := range 3 {
				testkit.Run(t, "node", scripts+"node.js", s.URLs()[i], s.URLs()[3], version, a.path("ca.pem")).PrintsAndEnds(want...)
			}
		}
	})
}

// website serves the page and MQTT.js to the browser, and nothing else.
func website(t *testing.T) *httptest.Server {
	t.Helper()
	mux := http.NewServeMux()
	for path, name := range map[string]string{"/page.html": "page.html", "/mqtt.js": "node_modules/mqtt/dist/mqtt.min.js"} {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, scripts+name) })
	}
	site := httptest.NewServer(mux)
	t.Cleanup(site.Close)
	return site
}

// TestChromium: a page connects with MQTT.js from a real browser, subscribes,
// publishes and shows what it got; a page of another origin does not get in.
func TestChromium(t *testing.T) {
	needsMQTTjs(t)
	site := website(t)
	a := newAuthority(t)
	a.sign("server", year)
	browser := testkit.Run(t, "node", scripts+"browser.js", testkit.Program(t, "chromium"))
	browser.Prints("ready")
	each(t, func(t *testing.T, engine string) {
		s := serve(t, engine, "ws://127.0.0.1:0/mqtt?origin="+site.URL, a.listener("wss://127.0.0.1:0/mqtt", "server")+"&origin="+site.URL,
			"ws://127.0.0.1:0/mqtt?origin=https://app.example.org", "mqtt://127.0.0.1:0")
		page := func(i int, version, shows string) {
			browser.Say(site.URL + "/page.html?version=" + version + "&url=" + url.QueryEscape(s.URLs()[i]) + " " + shows + "\n")
		}
		plain := s.dial(t, 3)
		expect(t, plain, connect('p')+"\x82\x0b\x00\x01\x00\x06page/#\x00", connackOK+"\x90\x03\x00\x01\x00")
		hello := publish("page/hello", "published by the page")
		answer := publish("page/answer", "from here")
		for _, version := range []string{"4", "5"} {
			for i := range 2 {
				page(i, version, "subscribed 2")
				expect(t, plain, "", hello)
				expect(t, plain, answer, answer)
				browser.Prints(`["page/hello: published by the page","page/answer: from here"]`)
			}
		}
		page(2, "5", "closed 0")
		browser.Prints("[]")
		s.log.wait(t, `msg="connection refused"`, "pages of this origin may not connect (403)")
	})
	browser.Say("\n")
	browser.PrintsAndEnds()
}
