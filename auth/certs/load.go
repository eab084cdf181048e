package certs

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"os"
	"time"
)

// load reads a certificate with its chain, and its key. It returns when the chain ends, too.
func (p Pair) load() (tls.Certificate, time.Time, error) {
	none := func(err error) (tls.Certificate, time.Time, error) { return tls.Certificate{}, time.Time{}, err }
	chain, err := os.ReadFile(p.Certificate)
	if err != nil {
		return none(fmt.Errorf("certificate: %w", err))
	}
	key, err := os.ReadFile(p.Key)
	if err != nil {
		return none(fmt.Errorf("key of certificate %s: %w", p.Certificate, err))
	}
	cert, err := tls.X509KeyPair(chain, key)
	if err != nil {
		return none(fmt.Errorf("certificate %s with key %s: %w", p.Certificate, p.Key, err))
	}
	end := cert.Leaf.NotAfter
	for _, der := range cert.Certificate[1:] {
		link, err := x509.ParseCertificate(der)
		if err != nil {
			return none(fmt.Errorf("certificate %s, its chain: %w", p.Certificate, err))
		}
		if link.NotAfter.Before(end) {
			end = link.NotAfter
		}
	}
	return cert, end, nil
}

// loadAuthorities reads the certificates of all files.
func loadAuthorities(files []string) (all []*x509.Certificate, err error) {
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("client authorities: %w", err)
		}
		before := len(all)
		for block, rest := pem.Decode(b); block != nil; block, rest = pem.Decode(rest) {
			if block.Type != "CERTIFICATE" {
				continue
			}
			ca, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				return nil, fmt.Errorf("client authorities %s: %w", file, err)
			}
			all = append(all, ca)
		}
		if len(all) == before {
			return nil, fmt.Errorf("client authorities %s: no certificate in PEM form in it", file)
		}
	}
	return all, nil
}

// revocations are the serial numbers that an authority, by its encoded name, has revoked.
type revocations map[string]map[string]bool

var errRevoked = errors.New("client certificate is revoked")

// loadCRLs reads lists of revoked certificates, and tells when they are out of date. One that is is better than none, so
// it counts.
func loadCRLs(files []string, authorities []*x509.Certificate) (r revocations, ends []Expiry, err error) {
	r = revocations{}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			return nil, nil, fmt.Errorf("CRL: %w", err)
		}
		for _, der := range crlsIn(b) {
			list, err := x509.ParseRevocationList(der)
			if err != nil {
				return nil, nil, fmt.Errorf("CRL %s: %w", file, err)
			}
			if err := checkIssuer(list, authorities); err != nil {
				return nil, nil, fmt.Errorf("CRL %s: %w", file, err)
			}
			if !list.NextUpdate.IsZero() {
				ends = append(ends, Expiry{file, list.NextUpdate})
			}
			r.add(list)
		}
	}
	return r, ends, nil
}

// crlsIn returns the lists of a file: those in PEM form, or else the file is one in DER form.
func crlsIn(b []byte) (lists [][]byte) {
	for block, rest := pem.Decode(b); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "X509 CRL" {
			lists = append(lists, block.Bytes)
		}
	}
	if lists == nil {
		lists = [][]byte{b}
	}
	return lists
}

// checkIssuer finds out whether the list belongs to the authorities at hand. That of one that only clients know, an
// intermediate one, is taken as it is: the file is the operator's.
func checkIssuer(list *x509.RevocationList, authorities []*x509.Certificate) (err error) {
	for _, ca := range authorities {
		if string(ca.RawSubject) != string(list.RawIssuer) {
			continue
		}
		if err = list.CheckSignatureFrom(ca); err == nil {
			return nil
		}
	}
	return err
}

// removeFromCRL is the reason of an entry that takes another one back [RFC 5280, section 5.3.1].
const removeFromCRL = 8

func (r revocations) add(list *x509.RevocationList) {
	serials := r[string(list.RawIssuer)]
	if serials == nil {
		serials = map[string]bool{}
		r[string(list.RawIssuer)] = serials
	}
	for _, entry := range list.RevokedCertificateEntries {
		if entry.ReasonCode != removeFromCRL {
			serials[serial(entry.SerialNumber)] = true
		}
	}
}

func serial(n *big.Int) string { return n.Text(16) }

// verify is for tls.Config.VerifyConnection: one chain without a revoked certificate must be left.
func (r revocations) verify(state tls.ConnectionState) error {
	if len(r) == 0 || len(state.PeerCertificates) == 0 {
		return nil
	}
	for _, chain := range state.VerifiedChains {
		if !r.any(chain) {
			return nil
		}
	}
	return fmt.Errorf("%w: serial number %s", errRevoked, serial(state.PeerCertificates[0].SerialNumber))
}

// any tells whether one of the chain is revoked.
func (r revocations) any(chain []*x509.Certificate) bool {
	for _, cert := range chain {
		if r[string(cert.RawIssuer)][serial(cert.SerialNumber)] {
			return true
		}
	}
	return false
}
