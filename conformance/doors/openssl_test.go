package doors

import (
	"bytes"
	"io"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/loopmq/loopmq/internal/testkit"
)

// typed runs openssl s_client, types text through it and returns what it
// printed when want has come; what is received is printed as it came.
func typed(t *testing.T, s *served, text, want string, args ...string) string {
	t.Helper()
	cmd := exec.Command(testkit.Program(t, "openssl"), append([]string{"s_client", "-connect", s.addr(0), "-nocommands"}, args...)...)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	late := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
	defer func() {
		late.Stop()
		_ = cmd.Process.Kill() // it may have ended by itself
		_ = cmd.Wait()
	}()
	if _, err := io.WriteString(in, text); err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	for b := make([]byte, 4096); !strings.Contains(said.String(), want); {
		n, err := out.Read(b)
		said.Write(b[:n])
		if err != nil {
			t.Fatalf("openssl %v: %v, without % x:\n%s", args, err, want, said.String())
		}
	}
	return said.String()
}

// TestOpenSSL: handshakes of both versions, the certificate for the name asked
// for, the protocol asked for, and MQTT inside.
func TestOpenSSL(t *testing.T) {
	a := newAuthority(t)
	a.sign("one", year, "one.example.org")
	a.sign("two", year, "two.example.org", "*.two.example.org")
	each(t, func(t *testing.T, engine string) {
		s := serve(t, engine, "mqtts://127.0.0.1:0?cert="+a.path("one.pem")+","+a.path("two.pem")+
			"&key="+a.path("one.key")+","+a.path("two.key"))
		for _, c := range []struct {
			args []string
			want []string
		}{
			{[]string{"-tls1_2"}, []string{"New, TLSv1.2", "subject=CN = one", "ECDHE-ECDSA-AES", "No ALPN negotiated"}},
			{[]string{"-tls1_3"}, []string{"New, TLSv1.3", "subject=CN = one", "Server Temp Key: X25519"}},
			{[]string{"-servername", "one.example.org"}, []string{"subject=CN = one"}},
			{[]string{"-servername", "two.example.org", "-verify_hostname", "two.example.org"}, []string{"subject=CN = two"}},
			{[]string{"-servername", "a.two.example.org"}, []string{"subject=CN = two"}},
			{[]string{"-servername", "unknown.example.org"}, []string{"subject=CN = one"}},
			{[]string{"-alpn", "mqtt"}, []string{"ALPN protocol: mqtt"}},
			{[]string{"-alpn", "x-amzn-mqtt-ca,mqtt", "-tls1_2"}, []string{"ALPN protocol: mqtt"}},
		} {
			said := typed(t, s, connect('o')+pingreq, connackOK+pingresp,
				append(c.args, "-CAfile", a.path("ca.pem"), "-verify_return_error")...)
			contains(t, said, append(c.want, "Verify return code: 0 (ok)")...)
		}
	})
}

// TestOpenSSLIsRefused: what is too old, and what is asked for in vain.
func TestOpenSSLIsRefused(t *testing.T) {
	a := newAuthority(t)
	a.sign("server", year)
	each(t, func(t *testing.T, engine string) {
		s := serve(t, engine, a.listener("mqtts://127.0.0.1:0", "server"), a.listener("mqtts://127.0.0.1:0", "server")+"&min-version=1.3")
		for _, c := range []struct {
			listener int
			args     []string
			want     string
		}{
			{0, []string{"-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"}, "protocol version"},
			{1, []string{"-tls1_2"}, "protocol version"},
			{0, []string{"-alpn", "h2"}, "no application protocol"},
			{0, []string{"-tls1_2", "-cipher", "AES128-GCM-SHA256"}, "handshake failure"},
		} {
			contains(t, output(t, true, "openssl", append([]string{"s_client", "-connect", s.addr(c.listener)}, c.args...)...), c.want)
		}
	})
}
