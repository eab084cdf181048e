package broker

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/loopmq/loopmq/auth/certs"
	"github.com/loopmq/loopmq/loop"
	"github.com/loopmq/loopmq/loop/transport"
	"github.com/loopmq/loopmq/router"
)

// TLS is the encryption of a listener. Its files are watched: changed ones are
// put in force without ending a connection, unusable ones are not.
type TLS struct {
	// Certificates are PEM files, each with the chain behind it; a client gets
	// the first that has the name it asks for. Keys are their keys, in the same
	// order; one that is missing is in the certificate's file.
	Certificates, Keys []string
	// ClientCertificates is "none" (or ""), "optional" or "required"; ClientCAs
	// are PEM files, or directories of them, of who must have signed them, CRLs lists of revoked ones.
	ClientCertificates string
	ClientCAs, CRLs    []string
	// UserFrom is what of a client's certificate is its user name: "" nothing,
	// "cn" the common name, "subject" the whole. With one CONNECT's counts no
	// more.
	UserFrom string
	// MinVersion is "1.2" (or "") or "1.3".
	MinVersion string
	// ALPN are the protocols that a client may ask for; none means mqtt, and for
	// WebSocket http/1.1.
	ALPN []string
	// RecordBytesMax is the largest plaintext sent in one record, for clients
	// with small buffers; 0: 16,384.
	RecordBytesMax int
}

// tls returns the settings to write to.
func (l *Listener) tls() *TLS {
	if l.TLS == nil {
		l.TLS = new(TLS)
	}
	return l.TLS
}

// options checks the settings.
func (t *TLS) options(webSocket bool) (o certs.Options, err error) {
	if len(t.Keys) > len(t.Certificates) {
		return o, fmt.Errorf("%d keys for %d certificates", len(t.Keys), len(t.Certificates))
	}
	for i, file := range t.Certificates {
		pair := certs.Pair{Certificate: file, Key: file}
		if i < len(t.Keys) && t.Keys[i] != "" {
			pair.Key = t.Keys[i]
		}
		o.Pairs = append(o.Pairs, pair)
	}
	o.CRLs, o.ALPN = t.CRLs, t.ALPN
	if o.ClientCAs, err = certificateFiles(t.ClientCAs); err != nil {
		return o, err
	}
	if o.ALPN == nil && webSocket {
		o.ALPN = []string{"http/1.1"}
	}
	switch t.ClientCertificates {
	case "", "none":
	case "optional":
		o.ClientAuth = certs.ClientOptional
	case "required":
		o.ClientAuth = certs.ClientRequired
	default:
		return o, fmt.Errorf("client-certs %q: use none, optional or required", t.ClientCertificates)
	}
	if o.ClientAuth != certs.ClientNone && len(t.ClientCAs) == 0 {
		return o, fmt.Errorf("client-certs %s without ca: nobody could have signed them; add ca=FILE", t.ClientCertificates)
	}
	switch t.MinVersion {
	case "", "1.2":
	case "1.3":
		o.MinVersion = tls.VersionTLS13
	default:
		return o, fmt.Errorf("min-version %q: use 1.2 or 1.3", t.MinVersion)
	}
	switch t.UserFrom {
	case "":
	case "cn", "subject":
		if o.ClientAuth == certs.ClientNone {
			return o, fmt.Errorf("user-from %s without client certificates; add client-certs=required", t.UserFrom)
		}
	default:
		return o, fmt.Errorf("user-from %q: use cn or subject", t.UserFrom)
	}
	return o, nil
}

// certificateFiles puts the files of directories in the place of those.
func certificateFiles(paths []string) (files []string, err error) {
	for _, path := range paths {
		if info, err := os.Stat(path); err != nil || !info.IsDir() {
			files = append(files, path) // what is wrong with it is found when it is read
			continue
		}
		entries, err := os.ReadDir(path)
		if err != nil {
			return nil, err
		}
		before := len(files)
		for _, e := range entries {
			if ext := filepath.Ext(e.Name()); ext == ".pem" || ext == ".crt" {
				files = append(files, filepath.Join(path, e.Name()))
			}
		}
		if len(files) == before {
			return nil, fmt.Errorf("%s: no file of this directory is called .pem or .crt", path)
		}
	}
	return files, nil
}

// secure is the TLS side of a door.
type secure struct {
	door     *transport.TLSDoor
	store    *certs.Store
	unwatch  func() // nil until it is in force
	userFrom string
	record   int     // TLS.RecordBytesMax
	root     *secure // the first of a row of reloads, which made door
	current  *secure // of root: the one in force
}

// follow puts next in force for the door of s.
func (s *secure) follow(next *secure) {
	next.door, next.root = s.door, s.root
	s.root.current = next
	s.door.SetRecordBytesMax(next.record)
}

// newSecure reads the files and prepares handshakes. The deadline is the
// router's, for all that comes before CONNECT.
func (b *Broker) newSecure(l *Listener, webSocket bool) (*secure, error) {
	o, err := l.TLS.options(webSocket)
	if err != nil {
		return nil, fmt.Errorf("listener %q: %w", l.URL, err)
	}
	name := l.name()
	o.Swapped = func() { b.logger().Info("new certificates are in force", "listener", name) }
	o.Failed = func(err error) {
		b.logger().Error("new certificates are unusable; the old ones stay in force", "listener", name, "error", err)
	}
	o.Warn = func(err error) { b.logger().Warn("certificate", "listener", name, "warning", err) }
	s := &secure{userFrom: l.TLS.UserFrom, record: l.TLS.RecordBytesMax}
	s.root, s.current = s, s
	if s.store, err = certs.Open(o); err != nil {
		return nil, fmt.Errorf("listener %q: %w", l.URL, err)
	}
	s.door, err = transport.NewTLSDoor(transport.TLSOptions{
		Config:   func() *tls.Config { return s.current.store.Config() },
		Complete: func(f func()) { b.engine.Complete(f) },
		Pool:     b.pool,
		Limits:   transport.TLSLimits{HandshakeTimeout: -1, RecordBytesMax: l.TLS.RecordBytesMax},
	})
	if err != nil {
		return nil, fmt.Errorf("listener %q: %w", l.URL, err)
	}
	return s, nil
}

// user is the name that a client's certificate gives it; ok says that it has
// one that counts.
func (s *secure) user(state *tls.ConnectionState) (name string, ok bool, err error) {
	if s.userFrom == "" || len(state.PeerCertificates) == 0 {
		return "", false, nil
	}
	of := certs.CommonName
	if s.userFrom == "subject" {
		of = func(c *x509.Certificate) (string, error) { return certs.Subject(c) }
	}
	name, err = of(state.PeerCertificates[0])
	return name, err == nil, err
}

// encrypted puts TLS between a connection and what open makes of it.
func (d *door) encrypted(c loop.Conn, client inbound, peer router.Peer) loop.Handler {
	return d.secure.door.TLS(c, func(inside loop.Conn, state *tls.ConnectionState) loop.Handler {
		name, ok, err := d.secure.user(state)
		if err != nil {
			client.Closed(fmt.Errorf("certificate: %w", err))
			return nil
		}
		if ok && d.login.certificate {
			peer.Identity = &router.Identity{User: name}
		}
		return d.open(inside, client, peer)
	}, client.Closed)
}

// watch begins to look after the certificates of doors that are in force now,
// and ends that for the others.
func (b *Broker) watch(doors, before []*door) {
	b.watching.Lock()
	defer b.watching.Unlock()
	for _, d := range doors {
		if !b.unwatched && d.secure != nil && d.secure.unwatch == nil {
			d.secure.unwatch = d.secure.store.Watch()
		}
	}
	for _, d := range before {
		if d.secure != nil && d.secure.unwatch != nil && !slices.Contains(doors, d) {
			d.secure.unwatch()
		}
	}
}

// unwatch ends it for good: Run has come to its end.
func (b *Broker) unwatch() {
	b.watching.Lock()
	b.unwatched = true
	b.watching.Unlock()
	b.watch(nil, b.doors)
}

// Certificate tells when a certificate of a listener ends.
type Certificate struct {
	_ [0]func() // nobody compares two: no code for that

	Listener, File string
	NotAfter       time.Time
}

// Certificates tells when the certificates in force end.
func (b *Broker) Certificates() (list []Certificate) {
	_, doors := b.inForce()
	for _, d := range doors {
		if d.secure == nil {
			continue
		}
		for _, e := range d.secure.store.Expiries() {
			list = append(list, Certificate{Listener: d.loop.Name, File: e.File, NotAfter: e.NotAfter})
		}
	}
	return list
}
