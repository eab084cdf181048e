package broker_test

import (
	"crypto/tls"
	"crypto/x509/pkix"
	"strings"
	"testing"

	"github.com/loopmq/loopmq/broker"
)

// What $SYS and the log tell of listeners: the days that a certificate has left,
// and what became of those who came.
func TestFactsOfListeners(t *testing.T) {
	a := newAuthority(t)
	a.sign("server", pkix.Name{CommonName: "server"}, nil)
	sink, log := newRecords()
	b := start(t, broker.Config{Log: log, Listeners: []broker.Listener{
		{URL: "mqtt://127.0.0.1:0"},
		{URL: "mqtts://127.0.0.1:0", TLS: a.server("server"), Name: "to/the#world"},
		{URL: "ws://127.0.0.1:0/mqtt"},
		{URL: "ws://127.0.0.1:0/mqtt"},
	}})
	expect(t, tls.Client(dial(t, b, 1), a.client("")), connect3, connack3)
	expect(t, dial(t, b, 3), "GET /other HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 404")
	c := dial(t, b, 0)
	expect(t, c, "\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x01c", connack3)
	for _, row := range []struct{ name, value string }{
		{"to_the_world/certificate/days", "89"},
		{"to_the_world/tls/handshakes", "1"},
		{"ws/websocket/refused", "0"},
		{"ws-2/websocket/refused", "1"},
		{"mqtt/connections", "1"},
	} {
		topic := "$SYS/broker/listeners/" + row.name
		filter := "\x00" + string(byte(len(topic))) + topic
		unsubscribed := "\xb0\x02\x00\x01"
		expect(t, c, "\x82"+string(byte(5+len(topic)))+"\x00\x01"+filter+"\x00",
			"\x90\x03\x00\x01\x00\x31"+string(byte(2+len(topic)+len(row.value)))+filter+row.value)
		expect(t, c, "\xa2"+string(byte(4+len(topic)))+"\x00\x01"+filter, unsubscribed)
	}
	if err := b.Dump(t.Context()); err != nil {
		t.Fatal(err)
	}
	line := sink.wait(t, "state: listener", "to_the_world")
	for _, want := range []string{"connections=1", "tls_handshakes=1", "certificate_days=89"} {
		if !strings.Contains(line, want) {
			t.Errorf("%s is not in %s", want, line)
		}
	}
}
