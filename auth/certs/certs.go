package certs

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// ClientAuth says what a client shows of itself.
type ClientAuth int

const (
	// ClientNone asks for no certificate.
	ClientNone ClientAuth = iota
	// ClientOptional asks for one; a client without is served, one with a bad one is not.
	ClientOptional
	// ClientRequired serves only clients with a good one.
	ClientRequired
)

// Pair is a certificate with its key, both PEM. The certificate's file has the chain behind it: the certificates that
// lead to one that clients know. Keep it short, with ECDSA keys, where clients have little memory.
type Pair struct{ Certificate, Key string }

// Options are given to Open.
type Options struct {
	// Pairs are the server's certificates. A client gets the first one whose names, wildcards among them, cover the one
	// that it asks for (SNI) and whose key it can check; the first of all if there is none, or if it asks for no name.
	Pairs []Pair
	// ClientAuth says whether clients need a certificate.
	ClientAuth ClientAuth
	// ClientCAs are files, PEM, of the certificates that must have signed those of clients.
	ClientCAs []string
	// CRLs are files, PEM or DER, with lists of revoked client certificates. Authorities without a list revoke nothing.
	CRLs []string
	// ALPN are the names of protocols to choose from, "mqtt" if nil. A client that names none is served; one that names
	// others only is refused, as RFC 7301 wants. Browsers name "http/1.1" for WebSocket.
	ALPN []string
	// MinVersion is the oldest version of TLS, tls.VersionTLS12 by default.
	MinVersion uint16

	// Swapped, if not nil, is called when new files are in force; Failed when they are not and the old ones are; Warn
	// when something needs attention soon: once at each load and then once a day. They run on the goroutine that looked.
	Swapped func()
	Failed  func(error)
	Warn    func(error)

	// Every is how often Watch looks at the files (2 s).
	Every time.Duration
	// Now is the clock (time.Now).
	Now func() time.Time
}

const (
	warnBefore     = 14 * 24 * time.Hour // how long before its end a certificate is warned about
	warnEvery      = 24 * time.Hour
	ticketKeyEvery = 24 * time.Hour // as crypto/tls does by itself
	ticketKeysMax  = 7              // and a ticket lives for a week
)

// Store is the configuration made of a set of files. A connection uses what is current when it comes.
type Store struct {
	o      Options
	config atomic.Pointer[tls.Config]
	expiry atomic.Pointer[[]Expiry]

	mu       sync.Mutex // for all below: Reload and Watch may meet
	crlEnds  []Expiry   // when lists of revoked certificates are out of date
	caEnds   []Expiry   // of the authorities of clients
	tried    []fileInfo // what the files looked like at the last load, whatever came of it
	seen     []fileInfo // and at the last look
	keys     [][32]byte // of session tickets, newest first; the same across loads, so that clients can resume
	keyAt    time.Time  // when the newest was made
	warnedAt time.Time
}

// Expiry tells when a certificate of the server ends.
type Expiry struct {
	File     string
	NotAfter time.Time // the earliest in the file: a chain is as good as its weakest part
}

// Days is the number of days left, negative behind the end.
func (e Expiry) Days(now time.Time) float64 { return e.NotAfter.Sub(now).Hours() / 24 }

// Open reads the files. Warnings are given at once.
func Open(o Options) (*Store, error) {
	switch {
	case len(o.Pairs) == 0:
		return nil, errors.New("TLS needs a certificate and its key")
	case o.ClientAuth != ClientNone && len(o.ClientCAs) == 0:
		return nil, errors.New("client certificates need a file with the authorities that sign them")
	case len(o.CRLs) > 0 && o.ClientAuth == ClientNone:
		return nil, errors.New("a list of revoked certificates is of no use when clients are not asked for theirs")
	}
	if o.ALPN == nil {
		o.ALPN = []string{"mqtt"}
	}
	if o.MinVersion == 0 {
		o.MinVersion = tls.VersionTLS12
	}
	if o.Every <= 0 {
		o.Every = 2 * time.Second
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	s := &Store{o: o}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.load(); err != nil {
		return nil, err
	}
	s.warn()
	return s, nil
}

// Config returns the configuration for one more connection. It must not be changed. Any goroutine.
func (s *Store) Config() *tls.Config { return s.config.Load() }

// Expiries tells when the server's certificates end, in the order of Options.Pairs. It does not wait. Any goroutine.
func (s *Store) Expiries() []Expiry { return slices.Clone(*s.expiry.Load()) }

// Reload reads the files now, changed or not. If one of them is no good, all old ones stay in force, and the error
// names it.
func (s *Store) Reload() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.load(); err != nil {
		return err
	}
	s.warn()
	return nil
}

// load reads all files and puts them in force.
func (s *Store) load() error {
	s.tried = s.look() // before reading: what changes meanwhile is seen as a change
	now := s.o.Now()
	config := &tls.Config{MinVersion: s.o.MinVersion, NextProtos: s.o.ALPN}
	var expiry []Expiry
	for _, pair := range s.o.Pairs {
		cert, end, err := pair.load()
		if err != nil {
			return err
		}
		config.Certificates = append(config.Certificates, cert)
		expiry = append(expiry, Expiry{pair.Certificate, end})
	}
	authorities, err := loadAuthorities(s.o.ClientCAs)
	if err != nil {
		return err
	}
	revoked, crlEnds, err := loadCRLs(s.o.CRLs, authorities)
	if err != nil {
		return err
	}
	if s.o.ClientAuth != ClientNone {
		config.ClientCAs = x509.NewCertPool()
		for _, ca := range authorities {
			config.ClientCAs.AddCert(ca)
		}
		config.ClientAuth = tls.VerifyClientCertIfGiven
		if s.o.ClientAuth == ClientRequired {
			config.ClientAuth = tls.RequireAndVerifyClientCert
		}
		config.VerifyConnection = revoked.verify // resumed connections come here, too
	}
	if len(s.keys) == 0 {
		s.newKey(now)
	}
	config.SetSessionTicketKeys(s.keys)
	s.crlEnds, s.caEnds = crlEnds, nil
	for _, ca := range authorities {
		s.caEnds = append(s.caEnds, Expiry{ca.Subject.String(), ca.NotAfter})
	}
	s.expiry.Store(&expiry)
	s.config.Store(config)
	return nil
}

// newKey puts a new key for session tickets in front.
func (s *Store) newKey(now time.Time) {
	var key [32]byte
	_, _ = rand.Read(key[:]) // never fails
	s.keys = append([][32]byte{key}, s.keys[:min(len(s.keys), ticketKeysMax-1)]...)
	s.keyAt = now
}

// rotate makes a new key once a day.
func (s *Store) rotate() {
	if now := s.o.Now(); now.Sub(s.keyAt) >= ticketKeyEvery {
		s.newKey(now)
		s.Config().SetSessionTicketKeys(s.keys)
	}
}

// warn tells what needs attention.
func (s *Store) warn() {
	now := s.o.Now()
	s.warnedAt = now
	if s.o.Warn == nil {
		return
	}
	soon := func(what string, e Expiry, then string) {
		switch left := e.NotAfter.Sub(now); {
		case left <= 0:
			s.o.Warn(fmt.Errorf("%s %s expired on %s; %s", what, e.File, day(e.NotAfter), then))
		case left < warnBefore:
			s.o.Warn(fmt.Errorf("%s %s expires on %s, in %d days", what, e.File, day(e.NotAfter), int(left.Hours()/24)))
		}
	}
	for _, e := range *s.expiry.Load() {
		soon("certificate", e, "clients will refuse it")
	}
	for _, e := range s.caEnds {
		soon("client authority", e, "clients with its certificates are refused")
	}
	for _, e := range s.crlEnds { // they live for days: only one that is over is worth a word
		if now.After(e.NotAfter) {
			s.o.Warn(fmt.Errorf("CRL %s is out of date since %s; what was revoked since then is not known", e.File, day(e.NotAfter)))
		}
	}
}

func day(t time.Time) string { return t.UTC().Format("2006-01-02") }
