package certs_test

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"testing"
	"time"

	"github.com/loopmq/loopmq/auth/certs"
)

// TestTakenBackRevocation: an entry with reason 8 takes a certificate off the list.
func TestTakenBackRevocation(t *testing.T) {
	m := newMaker(t)
	ca := m.issue(nil, year, "ca")
	client := m.issue(ca, year, "client")
	now := time.Now()
	der, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{
		Number: big.NewInt(1), ThisUpdate: now.Add(-time.Hour), NextUpdate: now.Add(year),
		RevokedCertificateEntries: []x509.RevocationListEntry{
			{SerialNumber: client.leaf.SerialNumber, RevocationTime: now.Add(-time.Hour), ReasonCode: 8},
		},
	}, ca.leaf.Certificate, ca.leaf.Secret)
	m.must(err)
	s := m.open(certs.Options{
		Pairs: []certs.Pair{m.save(m.issue(ca, year, "broker"), "broker")}, ClientAuth: certs.ClientRequired,
		ClientCAs: []string{m.save(ca, "ca").Certificate}, CRLs: []string{m.write("delta.crl", "X509 CRL", der)},
	})
	config := trusting(ca, "broker")
	config.Certificates = []tls.Certificate{client.tls()}
	if _, _, err, errServer := shake(t, s, config); err != nil || errServer != nil {
		t.Errorf("%v, %v", err, errServer)
	}
}
