package certs_test

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/loopmq/loopmq/auth/certs"
	"github.com/loopmq/loopmq/internal/testkit"
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

// FuzzFiles: whatever comes into the files of a server that runs, either all of it is good, in the eyes of crypto/tls,
// or the error names one of them and nothing changes.
func FuzzFiles(f *testing.F) {
	dir := f.TempDir()
	ca := testkit.Authority("ca")
	leaf := testkit.Sign(testkit.Host("broker", "broker"), ca)
	cert, key := leaf.Save(dir, "broker")
	authorities, crl := filepath.Join(dir, "ca.pem"), filepath.Join(dir, "crl")
	list, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{
		Number: big.NewInt(1), ThisUpdate: time.Now(), NextUpdate: time.Now().Add(time.Hour),
		RevokedCertificateEntries: []x509.RevocationListEntry{{SerialNumber: leaf.SerialNumber, RevocationTime: time.Now()}},
	}, ca.Certificate, ca.Secret)
	if err != nil {
		f.Fatal(err)
	}
	write := func(t testing.TB, files map[string][]byte) {
		for name, text := range files {
			if err := os.WriteFile(name, text, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	block := func(kind string, der []byte) []byte { return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}) }
	chain, root, revoked := block("CERTIFICATE", leaf.Raw), block("CERTIFICATE", ca.Raw), block("X509 CRL", list)
	secret := block("PRIVATE KEY", leaf.KeyDER())
	write(f, map[string][]byte{authorities: root, crl: list})
	s, err := certs.Open(certs.Options{
		Pairs: []certs.Pair{{Certificate: cert, Key: key}}, ClientAuth: certs.ClientRequired, ClientCAs: []string{authorities}, CRLs: []string{crl},
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(chain, secret, root, revoked)
	f.Add(slices.Concat(chain, root), secret, slices.Concat([]byte("# ours\n"), root, chain), list)
	f.Add(root, secret, revoked, chain)
	f.Add(chain, chain, root, []byte{})
	f.Add([]byte{}, secret, chain, slices.Concat(revoked, revoked))
	f.Fuzz(func(t *testing.T, pair, pairKey, clientCAs, lists []byte) {
		write(t, map[string][]byte{cert: pair, key: pairKey, authorities: clientCAs, crl: lists})
		before := s.Config()
		if err := s.Reload(); err != nil {
			if !strings.Contains(err.Error(), dir) || s.Config() != before {
				t.Fatalf("%v; the same is in force: %v", err, s.Config() == before)
			}
			return
		}
		_, bad := tls.X509KeyPair(pair, pairKey)
		if bad != nil || !x509.NewCertPool().AppendCertsFromPEM(clientCAs) || s.Config() == before || s.Config().ClientCAs == nil {
			t.Fatalf("%v, %q, %q, %q are in force", bad, pair, clientCAs, lists)
		}
	})
}
