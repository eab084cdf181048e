package certs_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/loopmq/loopmq/auth/certs"
)

const patience = 20 * time.Second

// maker issues certificates into a folder.
type maker struct {
	t    *testing.T
	dir  string
	next int64
}

// issued is a certificate with its key, in memory and in files.
type issued struct {
	certs.Pair
	leaf *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newMaker(t *testing.T) *maker { return &maker{t, t.TempDir(), 1} }

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
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	m.must(err)
	m.next++
	template := &x509.Certificate{
		SerialNumber: big.NewInt(m.next), Subject: pkix.Name{CommonName: names[0], Organization: []string{"Example"}},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(lifetime),
		DNSNames: names, BasicConstraintsValid: true, IsCA: issuer == nil,
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	parent, signer := template, key
	if issuer != nil {
		parent, signer = issuer.leaf, issuer.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	m.must(err)
	leaf, err := x509.ParseCertificate(der)
	m.must(err)
	return &issued{leaf: leaf, key: key}
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
	der, err := x509.MarshalPKCS8PrivateKey(c.key)
	m.must(err)
	c.Key = m.write(name+".key", "PRIVATE KEY", der)
}

// crl writes a list of what ca has revoked; kind "" is DER.
func (m *maker) crl(name, kind string, ca *issued, next time.Time, revoked ...*issued) string {
	m.t.Helper()
	list := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: next.Add(-100 * time.Hour), NextUpdate: next}
	for _, c := range revoked {
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries,
			x509.RevocationListEntry{SerialNumber: c.leaf.SerialNumber, RevocationTime: list.ThisUpdate})
	}
	der, err := x509.CreateRevocationList(rand.Reader, list, ca.leaf, ca.key)
	m.must(err)
	return m.write(name, kind, der)
}

func (m *maker) open(o certs.Options) *certs.Store {
	m.t.Helper()
	s, err := certs.Open(o)
	m.must(err)
	return s
}

func (c *issued) tls() tls.Certificate {
	return tls.Certificate{Certificate: [][]byte{c.leaf.Raw}, PrivateKey: c.key, Leaf: c.leaf}
}

// trusting is the configuration of a client that trusts ca.
func trusting(ca *issued, name string) *tls.Config {
	pool := x509.NewCertPool()
	pool.AddCert(ca.leaf)
	return &tls.Config{RootCAs: pool, ServerName: name, MinVersion: tls.VersionTLS10}
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
