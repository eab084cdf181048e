package config

import (
	"net/url"
	"strings"
	"testing"

	"github.com/loopmq/loopmq/broker"
)

// FuzzEndpoint: a URL of a listener that a configuration may have is one that the broker opens, given a certificate,
// and whatever stands behind its ? is taken or refused in one line.
func FuzzEndpoint(f *testing.F) {
	for _, text := range []string{
		"mqtt://127.0.0.1:1883", "mqtts://[::1]", "ws://host/mqtt?origin=https://a&trust=10.0.0.0/8&proxy=v2", "wss://:0/a%20b", "unix:///run/x.sock?mode=0660",
		"tcp://*:1", "mqtt://::1:1883", "tls://h:70000", "mqtt://u:p@h", "unix:///a%2Fb", "unix:///run/a%b.sock", "ws://h/a%3Fb%00", "unix:///a//b/../c", "mqtt://h?versions=3.1,5&max-connections=9", "ssl://h?",
		"mqtt://h?cert=a&key=b", "mqtts://h:1?cert=a,b&key=c,d&max-record=4096&min-version=1.3&alpn=mqtt&crl=x&client-certs=required&user-from=cn",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if _, err := broker.ParseListener(text); err != nil && (err.Error() == "" || strings.ContainsAny(err.Error(), "\r\n")) {
			t.Fatalf("%q is told as %q", text, err)
		}
		l := Listener{URL: text}
		e, err := l.Endpoint()
		if err != nil {
			return
		}
		cert := ""
		if e.TLS {
			cert = "?cert=a&key=b"
		}
		opened, err := broker.ParseListener(e.url() + cert)
		if err != nil {
			t.Fatalf("%q is %+v, and the broker says %v", text, e, err)
		}
		if u, err := url.Parse(opened.URL); err != nil || u.Path != e.Socket+e.Path {
			t.Fatalf("%q is %+v, and the broker opens %q", text, e, opened.URL)
		}
	})
}
