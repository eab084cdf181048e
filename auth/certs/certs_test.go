package certs_test

import (
	"crypto/tls"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/loopmq/loopmq/auth/certs"
)

const year = 365 * 24 * time.Hour

func TestTheNameChoosesTheCertificate(t *testing.T) {
	m := newMaker(t)
	ca := m.issue(nil, year, "ca")
	first := m.save(m.issue(ca, year, "a.example"), "a")
	second := m.save(m.issue(ca, year, "*.b.example", "b.example"), "b")
	s := m.open(certs.Options{Pairs: []certs.Pair{first, second}})
	for name, want := range map[string]string{
		"a.example": "a.example", "b.example": "*.b.example", "x.b.example": "*.b.example",
		"x.y.b.example": "a.example", "other.example": "a.example", "": "a.example",
	} {
		config := trusting(ca, name)
		config.InsecureSkipVerify = true // the default one does not have the name
		state, _, err, _ := shake(t, s, config)
		if err != nil || state.PeerCertificates[0].Subject.CommonName != want {
			t.Errorf("%q: %v, %v, want %s", name, state.PeerCertificates, err, want)
		}
	}
}

func TestClientCertificates(t *testing.T) {
	m := newMaker(t)
	ca, stranger := m.issue(nil, year, "ca"), m.issue(nil, year, "stranger")
	pair := m.save(m.issue(ca, year, "broker"), "broker")
	authorities := []string{m.save(ca, "ca").Certificate}
	good, bad := m.issue(ca, year, "good").tls(), m.issue(stranger, year, "bad").tls()
	for _, row := range []struct {
		auth                certs.ClientAuth
		none, known, others bool // served
	}{
		{certs.ClientNone, true, true, true},
		{certs.ClientOptional, true, true, false},
		{certs.ClientRequired, false, true, false},
	} {
		s := m.open(certs.Options{Pairs: []certs.Pair{pair}, ClientAuth: row.auth, ClientCAs: authorities})
		for i, client := range []struct {
			certs  []tls.Certificate
			served bool
		}{{nil, row.none}, {[]tls.Certificate{good}, row.known}, {[]tls.Certificate{bad}, row.others}} {
			config := trusting(ca, "broker")
			if client.certs != nil {
				config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &client.certs[0], nil }
			}
			_, _, err, errServer := shake(t, s, config)
			if (err == nil) != client.served || (errServer == nil) != client.served {
				t.Errorf("mode %d, client %d: %v, %v", row.auth, i, err, errServer)
			}
		}
	}
}

func TestRevokedClientsAreRefused(t *testing.T) {
	m := newMaker(t)
	ca, other := m.issue(nil, year, "ca"), m.issue(nil, year, "other")
	good, bad := m.issue(ca, year, "good"), m.issue(ca, year, "bad")
	var warned []error
	o := certs.Options{
		Pairs: []certs.Pair{m.save(m.issue(ca, year, "broker"), "broker")}, ClientAuth: certs.ClientOptional,
		ClientCAs: []string{m.save(ca, "ca").Certificate},
		Warn:      func(err error) { warned = append(warned, err) },
	}
	for name, kind := range map[string]string{"pem.crl": "X509 CRL", "der.crl": ""} {
		o.CRLs = []string{m.crl(name, kind, ca, time.Now().Add(year), bad)}
		s := m.open(o)
		for _, client := range []*issued{nil, good, bad} {
			config := trusting(ca, "broker")
			if client != nil {
				config.Certificates = []tls.Certificate{client.tls()}
			}
			_, _, err, errServer := shake(t, s, config)
			if client != bad && (err != nil || errServer != nil) {
				t.Errorf("%s: %v, %v", name, err, errServer)
			}
			if client == bad && (err == nil || errServer == nil || !strings.Contains(errServer.Error(), "revoked")) {
				t.Errorf("%s: %v, %v", name, err, errServer)
			}
		}
	}
	if len(warned) > 0 {
		t.Error(warned)
	}
	o.CRLs = []string{m.crl("old.crl", "X509 CRL", ca, time.Now().Add(-time.Hour), bad)}
	s := m.open(o)
	if len(warned) != 1 || !strings.Contains(warned[0].Error(), "old.crl is out of date since") {
		t.Error(warned)
	}
	config := trusting(ca, "broker")
	config.Certificates = []tls.Certificate{bad.tls()}
	if _, _, err, _ := shake(t, s, config); err == nil {
		t.Error("a list that is out of date does not count")
	}
	other.leaf.RawSubject = ca.leaf.RawSubject
	o.CRLs = []string{m.crl("forged.crl", "X509 CRL", other, time.Now().Add(year), good)}
	if _, err := certs.Open(o); err == nil || !strings.Contains(err.Error(), "forged.crl") {
		t.Error(err)
	}
}

// A session ticket does not outlive the revocation of its certificate.
func TestRevokedClientsCannotResume(t *testing.T) {
	m := newMaker(t)
	ca := m.issue(nil, year, "ca")
	client := m.issue(ca, year, "client")
	crl := m.crl("crl", "", ca, time.Now().Add(year))
	s := m.open(certs.Options{
		Pairs: []certs.Pair{m.save(m.issue(ca, year, "broker"), "broker")}, ClientAuth: certs.ClientRequired,
		ClientCAs: []string{m.save(ca, "ca").Certificate}, CRLs: []string{crl},
	})
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		m.crl("crl", "", ca, time.Now().Add(year))
		m.must(s.Reload())
		config := trusting(ca, "broker")
		config.MaxVersion, config.ClientSessionCache = version, tls.NewLRUClientSessionCache(1)
		config.Certificates = []tls.Certificate{client.tls()}
		for _, want := range []bool{false, true} {
			state, _, err, _ := shake(t, s, config)
			if err != nil || state.DidResume != want {
				t.Errorf("%x: resumed %v, %v", version, state.DidResume, err)
			}
		}
		m.crl("crl", "", ca, time.Now().Add(year), client)
		m.must(s.Reload())
		if _, _, err, errServer := shake(t, s, config); err == nil || errServer == nil {
			t.Errorf("%x: a revoked client resumes", version)
		}
	}
}

func TestProtocolNames(t *testing.T) {
	m := newMaker(t)
	ca := m.issue(nil, year, "ca")
	pair := m.save(m.issue(ca, year, "broker"), "broker")
	for _, row := range []struct {
		ours, theirs []string
		want         string // "-" for refused
	}{
		{nil, nil, ""},
		{nil, []string{"x", "mqtt"}, "mqtt"},
		{nil, []string{"x"}, "-"},
		{[]string{}, []string{"x"}, ""},
		{[]string{"mqtt", "http/1.1"}, []string{"http/1.1"}, "http/1.1"},
	} {
		config := trusting(ca, "broker")
		config.NextProtos = row.theirs
		state, _, err, _ := shake(t, m.open(certs.Options{Pairs: []certs.Pair{pair}, ALPN: row.ours}), config)
		if (err != nil) != (row.want == "-") || err == nil && state.NegotiatedProtocol != row.want {
			t.Errorf("%+v: %q, %v", row, state.NegotiatedProtocol, err)
		}
	}
}

func TestOldestVersion(t *testing.T) {
	m := newMaker(t)
	ca := m.issue(nil, year, "ca")
	pair := m.save(m.issue(ca, year, "broker"), "broker")
	for _, row := range []struct {
		least, client uint16
		served        bool
	}{{0, tls.VersionTLS11, false}, {0, tls.VersionTLS12, true}, {tls.VersionTLS13, tls.VersionTLS12, false}} {
		config := trusting(ca, "broker")
		config.MaxVersion = row.client
		if _, _, err, _ := shake(t, m.open(certs.Options{Pairs: []certs.Pair{pair}, MinVersion: row.least}), config); (err == nil) != row.served {
			t.Errorf("%+v: %v", row, err)
		}
	}
}

func TestCertificatesThatEndSoon(t *testing.T) {
	m := newMaker(t)
	ca, short := m.issue(nil, year, "ca"), m.issue(nil, 9*24*time.Hour+time.Hour, "short")
	pairs := []certs.Pair{
		m.save(m.issue(ca, year, "long"), "long"),
		m.save(m.issue(ca, year, "chained"), "chained"),
		m.save(m.issue(ca, -time.Minute, "over"), "over"),
	}
	chain, err := os.ReadFile(pairs[1].Certificate) // its chain ends before it does
	m.must(err)
	link, err := os.ReadFile(m.save(short, "short").Certificate)
	m.must(err)
	m.write("chained.crt", "", append(chain, link...))
	var warned []string
	s := m.open(certs.Options{Pairs: pairs, Warn: func(err error) { warned = append(warned, err.Error()) }})
	if len(warned) != 2 || !strings.Contains(warned[0], "chained.crt expires on ") || !strings.HasSuffix(warned[0], "in 9 days") ||
		!strings.Contains(warned[1], "over.crt expired on ") {
		t.Errorf("%q", warned)
	}
	for i, want := range []float64{365, 9, -0.1} {
		e := s.Expiries()[i]
		if days := e.Days(time.Now()); e.File != pairs[i].Certificate || days > want+0.1 || days < want-0.1 {
			t.Errorf("%+v: %v days, want %v", e, days, want)
		}
	}
}

func TestErrorsNameTheFile(t *testing.T) {
	m := newMaker(t)
	ca := m.issue(nil, year, "ca")
	pair := m.save(m.issue(ca, year, "a"), "a")
	other := m.save(m.issue(ca, year, "b"), "b")
	junk := m.write("junk", "", []byte("junk"))
	cas := []string{m.save(ca, "ca").Certificate}
	for want, o := range map[string]certs.Options{
		"needs a certificate":        {},
		"missing.crt":                {Pairs: []certs.Pair{{m.path("missing.crt"), pair.Key}}},
		"missing.key":                {Pairs: []certs.Pair{{pair.Certificate, m.path("missing.key")}}},
		"a.crt with key " + junk:     {Pairs: []certs.Pair{{pair.Certificate, junk}}},
		"certificate " + junk:        {Pairs: []certs.Pair{{junk, pair.Key}}},
		"private key does not match": {Pairs: []certs.Pair{{pair.Certificate, other.Key}}},
		"authorities that sign them": {Pairs: []certs.Pair{pair}, ClientAuth: certs.ClientOptional},
		"are not asked for theirs":   {Pairs: []certs.Pair{pair}, CRLs: []string{junk}},
		"no certificate in PEM form": {Pairs: []certs.Pair{pair}, ClientAuth: certs.ClientOptional, ClientCAs: []string{junk}},
		"CRL " + junk:                {Pairs: []certs.Pair{pair}, ClientAuth: certs.ClientRequired, ClientCAs: cas, CRLs: []string{junk}},
		"CRL: open": {
			Pairs: []certs.Pair{pair}, ClientAuth: certs.ClientRequired, ClientCAs: cas, CRLs: []string{m.path("missing.crl")},
		},
	} {
		if _, err := certs.Open(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q: %v", want, err)
		}
	}
}
