package doors

import (
	"strings"
	"testing"
	"time"
)

// mosquittoArgs are the options of mosquitto_pub and _sub for the i-th
// listener, with TLS.
func mosquittoArgs(a *authority, s *served, i int, more ...string) []string {
	return append([]string{"-h", "127.0.0.1", "-p", s.port(i), "--cafile", a.path("ca.pem"), "-q", "1"}, more...)
}

// opensslArgs are the options of s_client for the same certificate.
func opensslArgs(mosquitto []string) (args []string) {
	for _, a := range mosquitto {
		args = append(args, strings.Replace(a, "--", "-", 1))
	}
	return args
}

// TestMosquittoCertificates: Debian's clients with the certificates that they
// may have, and with those that they may not.
func TestMosquittoCertificates(t *testing.T) {
	a := newAuthority(t)
	a.sign("server", year)
	a.sign("expired", -time.Hour)
	a.sign("device7", year)
	a.sign("late", -time.Hour)
	a.revoke(a.sign("stolen", year))
	stranger := newAuthority(t)
	stranger.sign("device7", year)
	each(t, func(t *testing.T, engine string) {
		s := serve(t, engine, a.listener("mqtts://127.0.0.1:0", "server"),
			a.requiring("mqtts://127.0.0.1:0", "server")+"&user-from=cn&crl="+a.path("revoked.crl"),
			a.listener("mqtts://127.0.0.1:0", "expired"), "mqtt://127.0.0.1:0")
		with := func(of *authority, name string) []string {
			return []string{"--cert", of.path(name + ".pem"), "--key", of.path(name + ".key")}
		}
		for _, version := range []string{"mqttv31", "mqttv311", "mqttv5"} {
			topic := "t/" + version
			send := []string{"-V", version, "-r", "-t", topic, "-m", "over TLS"}
			receive := []string{"-V", version, "-t", topic, "-C", "1", "-W", "20", "-v"}
			output(t, false, "mosquitto_pub", mosquittoArgs(a, s, 0, send...)...)
			got := output(t, false, "mosquitto_sub", mosquittoArgs(a, s, 1, append(receive, with(a, "device7")...)...)...)
			if want := topic + " over TLS\n"; got != want {
				t.Errorf("mosquitto_sub printed %q, want %q", got, want)
			}
		}
		s.log.wait(t, "msg=connected", "user=device7")
		watch := s.dial(t, 3)
		expect(t, watch, connect('w')+"\x82\x06\x00\x01\x00\x01t\x00", connackOK+"\x90\x03\x00\x01\x00")
		send := []string{"-t", "t", "-m", "never"}
		for _, c := range []struct {
			what     string
			listener int
			args     []string
			log      string
		}{
			{"revoked", 1, with(a, "stolen"), "revoked"},
			{"expired", 1, with(a, "late"), "expired"},
			{"of another authority", 1, with(stranger, "device7"), "unknown authority"},
			{"none", 1, nil, "didn't provide a certificate"},
		} {
			output(t, true, "mosquitto_pub", mosquittoArgs(a, s, c.listener, append(send, c.args...)...)...)
			// With TLS 1.3 a client may be gone before it is judged, and then the log does not say how; s_client stays.
			output(t, true, "openssl", append([]string{"s_client", "-connect", s.addr(c.listener), "-ign_eof"}, opensslArgs(c.args)...)...)
			s.log.wait(t, "refused", c.log)
		}
		// The other way round: clients look at the broker's certificate.
		contains(t, output(t, true, "mosquitto_pub", mosquittoArgs(a, s, 2, send...)...), "TLS error")
		contains(t, output(t, true, "mosquitto_pub", mosquittoArgs(stranger, s, 0, send...)...), "TLS error")
		expect(t, watch, "\x30\x06\x00\x01tend", "\x30\x06\x00\x01tend") // and nothing before it
	})
}
