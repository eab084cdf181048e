package config

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/loopmq/loopmq/auth/callout"
	"github.com/loopmq/loopmq/auth/guard"
	"github.com/loopmq/loopmq/auth/token"
	"github.com/loopmq/loopmq/broker"
)

// Broker is the configuration as package broker takes it, without a log.
func (f *File) Broker() (broker.Config, error) {
	rules, err := f.durability()
	if err != nil {
		return broker.Config{}, err
	}
	full, err := broker.ParseQueueFull(f.QueueFull)
	if err != nil {
		return broker.Config{}, err
	}
	cfg := broker.Config{
		QueueFull: full, Durability: rules, LazyInterval: f.LazyInterval,
		State: broker.StateOptions{
			SegmentBytes: (int64(f.StateSegmentBytes) + 4095) &^ 4095, BytesMax: int64(f.StateBytesMax), WrittenPerDayWarn: int64(f.StateBytesPerDayWarn),
		},
		Engine: f.Engine, Limits: f.Limits,
		ServerReference: f.ServerReference, ServerMoved: f.ServerMoved,
		ResponsePrefix: f.ResponsePrefix, ValidatePayloads: f.ValidatePayloads,
		PasswordFile: f.Auth.PasswordFile, ACLFile: f.Auth.ACLFile, DenyCloses: f.Auth.DenyCloses,
		Anonymous: f.Auth.Anonymous.Bool(), Ways: ways(f.Auth.Chain),
		// The broker's own zero is its default.
		ShutdownTimeout: max(f.ShutdownTimeout, 1),
	}
	cfg.Limits.SysInterval = f.SysInterval
	if f.StateDir != StateDirAuto && f.StateDir != StateDirNone { // loopmq serve knows what auto is
		cfg.StateDir = f.StateDir
	}
	for i := range f.Listeners {
		l, err := f.Listeners[i].broker()
		if err != nil {
			return cfg, fmt.Errorf("listener %s: %w", f.Listeners[i].Name, err)
		}
		cfg.Listeners = append(cfg.Listeners, l)
	}
	for _, q := range f.Quotas {
		cfg.Quotas = append(cfg.Quotas, broker.QuotaRule{Users: q.Users, Roles: q.Roles, Clients: q.Clients, Listeners: q.Listeners, Quota: q.Quota})
	}
	return cfg, f.Auth.broker(&cfg)
}

// broker adds what is said of users.
func (a *Auth) broker(cfg *broker.Config) error {
	if a.JWT.Secret != "" || a.JWT.Keys != "" {
		cfg.Tokens = &broker.Tokens{Secret: string(a.JWT.Secret), Keys: a.JWT.Keys, Check: token.Config{
			Issuer: a.JWT.Issuer, Audience: a.JWT.Audience, Leeway: a.JWT.Leeway, Methods: a.JWT.Algorithms, UserClaim: a.JWT.UserClaim, ClientClaim: a.JWT.ClientClaim,
		}}
	}
	if a.HTTP.UserURL != "" {
		service, err := callout.New(callout.Config{
			URL: a.HTTP.UserURL, Timeout: a.HTTP.Timeout, Remember: a.HTTP.Cache, Token: string(a.HTTP.Token), CAFile: a.HTTP.CA,
		})
		if err != nil {
			return fmt.Errorf("auth.http: %w", err)
		}
		cfg.Backends = append(cfg.Backends, service)
	}
	cfg.Guard = guard.Config{AddressBurst: a.Guard.Failures, UserBurst: a.Guard.Failures, Refill: a.Guard.Window, DelayMax: a.Guard.Ban, Exempt: a.Guard.Exempt}
	if a.Guard.Failures == 0 {
		cfg.Guard.AddressBurst, cfg.Guard.UserBurst = -1, -1
	}
	cfg.BanFile = a.Bans.File
	for _, n := range a.Bans.Networks {
		cfg.Bans = append(cfg.Bans, guard.Ban{Kind: guard.Network, Network: n})
	}
	for _, name := range a.Bans.Users {
		cfg.Bans = append(cfg.Bans, guard.Ban{Kind: guard.User, Name: name})
	}
	for _, name := range a.Bans.ClientIDs {
		cfg.Bans = append(cfg.Bans, guard.Ban{Kind: guard.ClientID, Name: name})
	}
	return a.Peer.broker(cfg)
}

// broker finds the numbers of the machine's users.
func (p *Peer) broker(cfg *broker.Config) error {
	for name, mqtt := range p.Users {
		uid, err := strconv.ParseUint(name, 10, 32)
		if err != nil {
			u, err := user.Lookup(name)
			if err != nil {
				return fmt.Errorf("auth.peer.users: this machine has no user %q", name)
			}
			if uid, err = strconv.ParseUint(u.Uid, 10, 32); err != nil {
				return fmt.Errorf("auth.peer.users: %q has no number", name)
			}
		}
		if cfg.Processes == nil {
			cfg.Processes = make(map[uint32]string)
		}
		cfg.Processes[uint32(uid)] = mqtt
	}
	return nil
}

// broker is the encryption as package broker takes it.
func (t *TLS) broker() *broker.TLS {
	out := &broker.TLS{
		Certificates: []string{t.Cert}, Keys: []string{t.Key}, ClientCertificates: t.ClientCerts, UserFrom: t.UserFrom,
		MinVersion: t.MinVersion, ALPN: t.ALPN, RecordBytesMax: t.MaxRecord,
	}
	for _, c := range t.Certificates {
		out.Certificates, out.Keys = append(out.Certificates, c.Cert), append(out.Keys, c.Key)
	}
	if t.CA != "" {
		out.ClientCAs = []string{t.CA}
	}
	if t.CRL != "" {
		out.CRLs = []string{t.CRL}
	}
	return out
}

// broker is the listener as package broker takes it.
func (l *Listener) broker() (broker.Listener, error) {
	e, err := l.Endpoint()
	if err != nil {
		return broker.Listener{}, err
	}
	out := broker.Listener{
		URL: e.url(), Name: l.Name, ConnsMax: l.MaxConnections, AcceptRate: l.ConnectRate.perSecond(), AddressRate: l.AddressRate.perSecond(),
		Origins: l.Origins, Anonymous: l.Anonymous.Bool(),
		PasswordFile: l.PasswordFile, ACLFile: l.ACLFile, Ways: ways(l.Auth), Limits: l.Limits,
		Mode: fs.FileMode(l.Mode), Owner: l.Owner, Group: l.Group,
		Proxy: l.ProxyProtocol != "off", ProxyVersion: map[string]int{"v1": 1, "v2": 2}[l.ProxyProtocol], Trusted: slices.Concat(l.ProxyTrusted, l.ForwardedTrusted),
	}
	if out.Proxy && len(l.ForwardedTrusted) > 0 { // one list would let each do what the other may
		return out, errors.New("proxy_protocol and forwarded_trusted together are not served: the PROXY header says who connects")
	}
	if e.TLS {
		out.TLS = l.TLS.broker()
	}
	for _, v := range l.Versions {
		out.Versions = append(out.Versions, map[string]byte{"3.1": 3, "3.1.1": 4, "5": 5}[v])
	}
	return out, nil
}

// url is in the form that package broker reads.
func (e Endpoint) url() string {
	if e.Socket != "" {
		return "unix://" + (&url.URL{Path: e.Socket}).EscapedPath()
	}
	return e.Scheme + "://" + net.JoinHostPort(strings.ReplaceAll(e.Host, "%", "%25"), strconv.Itoa(e.Port)) + (&url.URL{Path: e.Path}).EscapedPath()
}

// ways has the broker's names of a chain; nil for none.
func ways(chain []string) (names []string) {
	for _, name := range chain {
		if name == "http" {
			name = "backends"
		}
		names = append(names, name)
	}
	return names
}

// perSecond rounds up: a rate that is set is at least 1.
func (r Rate) perSecond() int {
	if r.Count == 0 {
		return 0
	}
	return int((int64(r.Count)*int64(time.Second) + int64(r.Per) - 1) / int64(r.Per))
}
