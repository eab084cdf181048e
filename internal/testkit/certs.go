package testkit

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"net"
	"os"
	"path/filepath"
	"time"
)

// Cert is a certificate with its key.
type Cert struct {
	*x509.Certificate
	Secret *ecdsa.PrivateKey
}

// Sign makes a certificate like c, with a key of its own: signed by by, or by itself where that is nil. It is valid for
// days unless c says when. What cannot be signed is a mistake of the test, and panics.
func Sign(c *x509.Certificate, by *Cert) *Cert {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	if c.NotBefore.IsZero() {
		c.NotBefore = time.Now().Add(-time.Hour)
	}
	if c.NotAfter.IsZero() {
		c.NotAfter = time.Now().Add(10*24*time.Hour + time.Hour)
	}
	c.BasicConstraintsValid = true
	if by == nil {
		by = &Cert{c, key}
	}
	der, err := x509.CreateCertificate(rand.Reader, c, by.Certificate, &key.PublicKey, by.Secret)
	must(err)
	signed, err := x509.ParseCertificate(der)
	must(err)
	return &Cert{signed, key}
}

// Authority makes a certificate that signs others.
func Authority(name string) *Cert {
	return Sign(&x509.Certificate{
		Subject: pkix.Name{CommonName: name}, IsCA: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}, nil)
}

// Host is what Sign wants to know for a server, or a client, at 127.0.0.1 and hosts.
func Host(name string, hosts ...string) *x509.Certificate {
	return &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, DNSNames: hosts, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
}

// TLS is what a side of a handshake shows.
func (c *Cert) TLS() tls.Certificate {
	return tls.Certificate{Certificate: [][]byte{c.Raw}, PrivateKey: c.Secret, Leaf: c.Certificate}
}

// Pool is what the other side trusts.
func (c *Cert) Pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(c.Certificate)
	return p
}

// KeyDER is the key, for a block of kind PRIVATE KEY.
func (c *Cert) KeyDER() []byte {
	der, err := x509.MarshalPKCS8PrivateKey(c.Secret)
	must(err)
	return der
}

// Save writes NAME.pem and NAME.key.
func (c *Cert) Save(dir, name string) (cert, key string) {
	cert, key = filepath.Join(dir, name+".pem"), filepath.Join(dir, name+".key")
	WritePEM(cert, "CERTIFICATE", c.Raw)
	WritePEM(key, "PRIVATE KEY", c.KeyDER())
	return cert, key
}

// WritePEM writes a file of one block.
func WritePEM(path, kind string, der []byte) {
	must(os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}
