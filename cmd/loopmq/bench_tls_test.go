package main

import (
	"strings"
	"testing"

	"github.com/loopmq/loopmq/broker"
	"github.com/loopmq/loopmq/internal/testkit"
)

// TestBenchTLS: a broker that asks for certificates, with each of the tool's
// flags for them.
func TestBenchTLS(t *testing.T) {
	certs := makeCertificates(t)
	b, err := broker.New(broker.Config{Listeners: []broker.Listener{
		{URL: "mqtts://127.0.0.1:0", TLS: &broker.TLS{
			Certificates: []string{certs.server}, Keys: []string{certs.serverKey},
			ClientCertificates: "required", ClientCAs: []string{certs.ca},
		}},
		{URL: "wss://127.0.0.1:0/mqtt", TLS: &broker.TLS{Certificates: []string{certs.server}, Keys: []string{certs.serverKey}}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	testkit.Serve(t, b)
	secure, web := b.URLs()[0], b.URLs()[1]
	own := " -client-cert " + certs.client + " -client-key " + certs.clientKey
	for _, row := range []struct {
		args   string
		status int
		err    string
	}{
		{"-broker " + strings.Replace(secure, "mqtts:", "ssl:", 1) + own + " -broker-ca-cert " + certs.ca, 0, ""},
		{"-broker " + secure + own + " -insecure", 0, ""},
		{"-broker " + web + " -broker-ca-cert " + certs.ca, 0, ""},
		{"-broker " + secure + own, exitRuntime, "no message went through: connect to " + secure},
		{"-broker " + secure + " -insecure", exitRuntime, "no message went through: connect to " + secure},
	} {
		got := run(t, "", append([]string{loopmq, "bench", "-clients", "2", "-count", "3", "-message-interval", "0", "-quiet"}, strings.Fields(row.args)...)...)
		if got.status != row.status || !strings.Contains(got.err, row.err) || (row.err == "") != (got.err == "") {
			t.Errorf("%s: status %d, %q", row.args, got.status, got.err)
		}
		ratio := "Total Ratio:                 1.000 (6/6)\n"
		if row.status != 0 {
			ratio = "Total Ratio:                 0.000 (0/6)\n"
		}
		if !strings.Contains(got.out, ratio) {
			t.Errorf("%s:\n%s", row.args, got.out)
		}
	}
}
