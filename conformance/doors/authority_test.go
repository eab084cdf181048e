package doors

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"path/filepath"
	"testing"
	"time"

	"github.com/loopmq/loopmq/internal/testkit"
)

// year is the life of certificates, far enough from their end for no warning.
const year = 365 * 24 * time.Hour

// authority signs certificates.
type authority struct {
	t   *testing.T
	dir string
	ca  *testkit.Cert
}

func newAuthority(t *testing.T) *authority {
	a := &authority{t: t, dir: t.TempDir(), ca: testkit.Authority("ca")}
	a.ca.Save(a.dir, "ca")
	return a
}

// path is where a file of the authority is.
func (a *authority) path(name string) string { return filepath.Join(a.dir, name) }

// sign writes NAME.pem and NAME.key, for 127.0.0.1 and hosts; left may be in
// the past.
func (a *authority) sign(name string, left time.Duration, hosts ...string) *testkit.Cert {
	like := testkit.Host(name, hosts...)
	like.NotBefore, like.NotAfter = time.Now().Add(-48*time.Hour), time.Now().Add(left)
	c := testkit.Sign(like, a.ca)
	c.Save(a.dir, name)
	return c
}

// revoke writes revoked.crl with these certificates.
func (a *authority) revoke(certs ...*testkit.Cert) {
	a.t.Helper()
	list := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: time.Now().Add(-time.Hour), NextUpdate: time.Now().Add(time.Hour)}
	for _, c := range certs {
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries,
			x509.RevocationListEntry{SerialNumber: c.SerialNumber, RevocationTime: time.Now().Add(-time.Minute)})
	}
	der, err := x509.CreateRevocationList(rand.Reader, list, a.ca.Certificate, a.ca.Secret)
	a.must(err)
	testkit.WritePEM(a.path("revoked.crl"), "X509 CRL", der)
}

// listener completes a URL with the authority's certificate NAME.
func (a *authority) listener(url, name string) string {
	return url + "?cert=" + a.path(name+".pem") + "&key=" + a.path(name+".key")
}

// requiring completes it further: clients need a certificate.
func (a *authority) requiring(url, name string) string {
	return a.listener(url, name) + "&client-certs=required&ca=" + a.path("ca.pem")
}

// client is a configuration that trusts the authority.
func (a *authority) client() *tls.Config {
	return &tls.Config{RootCAs: a.ca.Pool(), ServerName: "127.0.0.1"}
}

func (a *authority) must(err error) {
	a.t.Helper()
	if err != nil {
		a.t.Fatal(err)
	}
}
