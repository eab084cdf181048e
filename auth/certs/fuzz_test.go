package certs_test

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"strings"
	"testing"

	"github.com/loopmq/loopmq/auth/certs"
)

// FuzzSubject: whatever stands in a certificate as its subject, the name that is
// made of it has no sign by which another could be forged, and a common name is
// one.
func FuzzSubject(f *testing.F) {
	for _, name := range []pkix.Name{
		{CommonName: "device7", OrganizationalUnit: []string{"hall 2", "a,b"}, Organization: []string{"Example"}},
		{CommonName: "# grün "},
		{CommonName: "a\x00b"},
		{},
	} {
		der, err := asn1.Marshal(name.ToRDNSequence())
		if err != nil {
			f.Fatal(err)
		}
		f.Add(der)
	}
	f.Fuzz(func(t *testing.T, der []byte) {
		cert := &x509.Certificate{RawSubject: der}
		if text, err := certs.Subject(cert); err == nil && strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' }) {
			t.Errorf("%x is the subject %q", der, text)
		}
		if text, err := certs.CommonName(cert); err == nil && (text == "" || strings.ContainsRune(text, 0)) {
			t.Errorf("%x has the common name %q", der, text)
		}
	})
}
