package certs_test

import (
	"crypto/tls"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/loopmq/loopmq/auth/certs"
	"github.com/loopmq/loopmq/internal/testkit"
)

func TestNewFilesAreSwappedIn(t *testing.T) {
	m := newMaker(t)
	ca := m.issue(nil, year, "ca")
	pair := m.save(m.issue(ca, year, "first", "broker"), "broker")
	swapped, failed := make(chan bool, 100), make(chan error, 100)
	s := m.open(certs.Options{
		Pairs: []certs.Pair{pair}, Every: time.Millisecond,
		Swapped: func() { swapped <- true }, Failed: func(err error) { failed <- err },
	})
	stop := s.Watch()
	defer stop()
	config := trusting(ca, "broker")
	config.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	serves := func(config *tls.Config, want string, resumed bool) {
		t.Helper()
		state, _, err, _ := shake(t, s, config)
		if err != nil || state.PeerCertificates[0].Subject.CommonName != want || state.DidResume != resumed {
			t.Errorf("%v, resumed %v, want %s", err, state.DidResume, want)
		}
	}
	serves(config, "first", false)
	old := s.Config()

	// The certificate alone does not match the key: the old pair stays.
	second := m.issue(ca, year, "second", "broker")
	m.write("broker.crt", "CERTIFICATE", second.leaf.Raw)
	if err := testkit.Receive(t, failed, "failed"); !strings.Contains(err.Error(), "broker.crt") || !strings.Contains(err.Error(), "does not match") {
		t.Error(err)
	}
	serves(trusting(ca, "broker"), "first", false)
	if s.Config() != old || len(failed) > 0 {
		t.Error("tried again although nothing has changed")
	}

	// With the key it does, and sessions go on.
	m.saveKey(second, "broker")
	testkit.Receive(t, swapped, "swapped")
	serves(trusting(ca, "broker"), "second", false)
	serves(config, "first", true) // what the client knows from its first visit

	m.must(os.Remove(pair.Key))
	if err := testkit.Receive(t, failed, "failed"); !strings.Contains(err.Error(), "broker.key") {
		t.Error(err)
	}
	serves(trusting(ca, "broker"), "second", false)
	if err := s.Reload(); err == nil || !strings.Contains(err.Error(), "broker.key") {
		t.Error(err)
	}
	stop()
	m.saveKey(second, "broker")
	m.must(s.Reload())
	stop() // may be called again
}

func TestWarningsAndTicketKeysOncePerDay(t *testing.T) {
	m := newMaker(t)
	ca := m.issue(nil, year, "ca")
	var clock atomic.Int64
	clock.Store(time.Now().UnixNano())
	warned := make(chan error, 1000)
	s := m.open(certs.Options{
		Pairs: []certs.Pair{m.save(m.issue(ca, 5*24*time.Hour, "broker"), "broker")}, Every: time.Millisecond,
		Warn: func(err error) { warned <- err }, Now: func() time.Time { return time.Unix(0, clock.Load()) },
	})
	if err := testkit.Receive(t, warned, "warned"); !strings.Contains(err.Error(), "in 4 days") {
		t.Error(err)
	}
	config := trusting(ca, "broker")
	config.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	shake(t, s, config)
	defer s.Watch()()
	for i, want := range []string{"in 3 days", "in 2 days", "in 1 days"} {
		clock.Add(int64(25 * time.Hour))
		if err := testkit.Receive(t, warned, "warned"); !strings.Contains(err.Error(), want) {
			t.Error(i, err)
		}
		if len(warned) > 0 {
			t.Error("warned more than once a day")
		}
	}
	// Three keys later the ticket is still good.
	if state, _, err, _ := shake(t, s, config); err != nil || !state.DidResume {
		t.Errorf("resumed %v, %v", state.DidResume, err)
	}
}

// What is in force grows old without being read again.
func TestListsAndAuthoritiesThatEnd(t *testing.T) {
	m := newMaker(t)
	ca := m.issue(nil, 20*24*time.Hour, "ca")
	var clock atomic.Int64
	clock.Store(time.Now().UnixNano())
	warned := make(chan error, 1000)
	s := m.open(certs.Options{
		Pairs: []certs.Pair{m.save(m.issue(ca, year, "broker"), "broker")}, Every: time.Millisecond,
		ClientAuth: certs.ClientRequired, ClientCAs: []string{m.save(ca, "ca").Certificate},
		CRLs: []string{m.crl("list.crl", "X509 CRL", ca, time.Now().Add(24*time.Hour))},
		Warn: func(err error) { warned <- err }, Now: func() time.Time { return time.Unix(0, clock.Load()) },
	})
	if len(warned) > 0 {
		t.Error(<-warned)
	}
	defer s.Watch()()
	for _, row := range []struct {
		later time.Duration
		want  []string
	}{
		{25 * time.Hour, []string{"list.crl is out of date since "}},
		{8 * 24 * time.Hour, []string{"client authority CN=ca,O=Example expires on ", "list.crl"}},
		{20 * 24 * time.Hour, []string{"client authority CN=ca,O=Example expired on ", "list.crl"}},
	} {
		clock.Add(int64(row.later))
		for _, want := range row.want {
			if err := testkit.Receive(t, warned, "warned"); !strings.Contains(err.Error(), want) {
				t.Errorf("%v, want %s", err, want)
			}
		}
	}
}
