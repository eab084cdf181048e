package certs_test

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/loopmq/loopmq/auth/certs"
	"github.com/loopmq/loopmq/internal/testkit"
)

const patience = 20 * time.Second

// maker issues certificates into a folder.
type maker struct {
	t   *testing.T
	dir string
}

// issued is a certificate with its key, in memory and in files.
type issued struct {
	certs.Pair
	leaf *testkit.Cert
}

func newMaker(t *testing.T) *maker { return &maker{t, t.TempDir()} }

func (m *maker) path(name string) string { return filepath.Join(m.dir, name) }

func (m *maker) must(err error) {
	m.t.Helper()
	if err != nil {
		m.t.Fatal(err)
	}
}

// write puts a PEM block, or anything, into a file, in one step.
func (m *maker) write(name, kind string, b []byte) string {
	m.t.Helper()
	if kind != "" {
		b = pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b})
	}
	m.must(os.WriteFile(m.path("new"), b, 0o600))
	m.must(os.Rename(m.path("new"), m.path(name)))
	return m.path(name)
}

// issue makes a certificate signed by issuer, or by itself.
func (m *maker) issue(issuer *issued, lifetime time.Duration, names ...string) *issued {
	m.t.Helper()
	template := testkit.Host(names[0], names...)
	template.NotAfter, template.IPAddresses = time.Now().Add(lifetime), nil
	template.Subject.Organization = []string{"Example"}
	template.KeyUsage |= x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	if issuer == nil {
		template.IsCA = true
		return &issued{leaf: testkit.Sign(template, nil)}
	}
	return &issued{leaf: testkit.Sign(template, issuer.leaf)}
}

// save writes certificate and key.
func (m *maker) save(c *issued, name string) certs.Pair {
	m.t.Helper()
	c.Certificate = m.write(name+".crt", "CERTIFICATE", c.leaf.Raw)
	m.saveKey(c, name)
	return c.Pair
}

func (m *maker) saveKey(c *issued, name string) {
	m.t.Helper()
	c.Key = m.write(name+".key", "PRIVATE KEY", c.leaf.KeyDER())
}

// crl writes a list of what ca has revoked; kind "" is DER.
func (m *maker) crl(name, kind string, ca *issued, next time.Time, revoked ...*issued) string {
	m.t.Helper()
	list := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: next.Add(-100 * time.Hour), NextUpdate: next}
	for _, c := range revoked {
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries,
			x509.RevocationListEntry{SerialNumber: c.leaf.SerialNumber, RevocationTime: list.ThisUpdate})
	}
	der, err := x509.CreateRevocationList(rand.Reader, list, ca.leaf.Certificate, ca.leaf.Secret)
	m.must(err)
	return m.write(name, kind, der)
}

func (m *maker) open(o certs.Options) *certs.Store {
	m.t.Helper()
	s, err := certs.Open(o)
	m.must(err)
	return s
}

func (c *issued) tls() tls.Certificate { return c.leaf.TLS() }

// trusting is the configuration of a client that trusts ca.
func trusting(ca *issued, name string) *tls.Config {
	return &tls.Config{RootCAs: ca.leaf.Pool(), ServerName: name, MinVersion: tls.VersionTLS10}
}

// shake lets a client and a server of s meet, and send a byte each way.
func shake(t *testing.T, s *certs.Store, client *tls.Config) (ofClient, ofServer tls.ConnectionState, errClient, errServer error) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	a, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	b, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	for _, end := range []net.Conn{a, b} {
		_ = end.SetDeadline(time.Now().Add(patience))
		defer end.Close()
	}
	server, done := tls.Server(b, s.Config()), make(chan error, 1)
	go func() {
		_, err := server.Read(make([]byte, 1))
		if err == nil {
			_, err = server.Write([]byte("x"))
		}
		done <- err
		b.Close()
	}()
	c := tls.Client(a, client)
	if _, errClient = c.Write([]byte("x")); errClient == nil {
		_, errClient = c.Read(make([]byte, 1))
	}
	return c.ConnectionState(), server.ConnectionState(), errClient, <-done
}
