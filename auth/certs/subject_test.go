package certs_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"math/big"
	mathrand "math/rand"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/loopmq/loopmq/auth/certs"
)

// partSET is a relative distinguished name.
type partSET []struct {
	Type  asn1.ObjectIdentifier
	Value asn1.RawValue
}

func part(values ...any) (p partSET) {
	for i := 0; i < len(values); i += 3 {
		p = append(p, partSET{{
			Type:  values[i].(asn1.ObjectIdentifier),
			Value: asn1.RawValue{Tag: values[i+1].(int), Bytes: []byte(values[i+2].(string))},
		}}...)
	}
	return p
}

// withSubject makes a certificate.
func withSubject(t *testing.T, key *ecdsa.PrivateKey, parts ...partSET) *x509.Certificate {
	t.Helper()
	raw, err := asn1.Marshal(parts)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), RawSubject: raw, NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

var (
	cn      = asn1.ObjectIdentifier{2, 5, 4, 3}
	o       = asn1.ObjectIdentifier{2, 5, 4, 10}
	email   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 1}
	dc      = asn1.ObjectIdentifier{0, 9, 2342, 19200300, 100, 1, 25}
	unknown = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 99999, 7}
)

func TestSubject(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	const utf8, printable, ia5, t61, bmp = 12, 19, 22, 20, 30
	for want, parts := range map[string][]partSET{
		"CN=alice,O=Example":              {part(o, printable, "Example"), part(cn, utf8, "alice")},
		`CN=\ a\,b\+c\"d\\e\<f\>g\;h=i\ `: {part(cn, utf8, ` a,b+c"d\e<f>g;h=i `)},
		`CN=\#1#`:                         {part(cn, utf8, "#1#")},
		`CN=#`:                            {part(cn, utf8, "#")}, // OpenSSL takes the end of a value for more than its beginning
		`CN=\ `:                           {part(cn, utf8, " ")},
		`CN=`:                             {part(cn, utf8, "")},
		`CN=J\C3\BCrgen\0A\00\7F`:         {part(cn, utf8, "Jürgen\n\x00\x7f")},
		`CN=J\C3\BCrgen`:                  {part(cn, t61, "J\xfcrgen")},
		`CN=\E2\82\ACa`:                   {part(cn, bmp, "\x20\xac\x00a")},
		`DC=org+CN=x,emailAddress=a@b.c`:  {part(email, ia5, "a@b.c"), part(cn, utf8, "x", dc, ia5, "org")},
		`1.3.6.1.4.1.99999.7=#0C0161`:     {part(unknown, utf8, "a")},
		``:                                {},
	} {
		cert := withSubject(t, key, parts...)
		if got, err := certs.Subject(cert); err != nil || got != want {
			t.Errorf("got %q, %v, want %q", got, err, want)
		}
		if got := openssl(t, cert); got != want {
			t.Errorf("OpenSSL says %q, not %q", got, want)
		}
	}
	r := mathrand.New(mathrand.NewSource(1))
	for range 100 {
		cert := withSubject(t, key, randomParts(r)...)
		got, err := certs.Subject(cert)
		if want := openssl(t, cert); err != nil || got != want {
			t.Errorf("got %q, %v, OpenSSL says %q", got, err, want)
		}
	}
}

func randomParts(r *mathrand.Rand) (parts []partSET) {
	for range 1 + r.Intn(4) {
		var p partSET
		for range 1 + r.Intn(2) {
			usual := []int{3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 15, 16, 17, 18, 20, 41, 42, 43, 44, 45, 46, 65, 72, 97}
			oid := []asn1.ObjectIdentifier{cn, o, email, dc, unknown, {2, 5, 4, usual[r.Intn(len(usual))]}}[r.Intn(6)]
			text := make([]rune, r.Intn(6))
			for i := range text {
				text[i] = []rune(" #,+\"\\<>;=a\x00\té€")[r.Intn(15)]
			}
			p = append(p, part(oid, 12, string(text))...)
		}
		if len(p) == 2 && p[0].Type.Equal(p[1].Type) {
			p = p[:1] // a set
		}
		parts = append(parts, p)
	}
	return parts
}

// openssl returns what openssl x509 prints.
func openssl(t *testing.T, cert *x509.Certificate) string {
	t.Helper()
	cmd := exec.Command("openssl", "x509", "-noout", "-subject", "-nameopt", "RFC2253")
	cmd.Stdin = bytes.NewReader(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw}))
	out, err := cmd.Output()
	if err != nil {
		t.Fatal("openssl (make test-deps installs it): ", err)
	}
	return strings.TrimPrefix(strings.TrimSuffix(string(out), "\n"), "subject=")
}

func TestCommonName(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		want  string
		parts []partSET
	}{
		{"alice", []partSET{part(o, 12, "x"), part(cn, 12, "alice"), part(cn, 12, "bob")}},
		{"Jürgen, Dr.", []partSET{part(cn, 12, "Jürgen, Dr.")}},
		{"", []partSET{part(o, 12, "x")}},
		{"", []partSET{part(cn, 12, "alice\x00bob")}},
		{"", []partSET{part(cn, 12, "")}},
		{"", nil},
	} {
		got, err := certs.CommonName(withSubject(t, key, row.parts...))
		if got != row.want || (err != nil) != (row.want == "") {
			t.Errorf("got %q, %v, want %q", got, err, row.want)
		}
	}
}
