package config

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/loopmq/loopmq/broker"
)

// Later lists the keys that are set and that the broker does not do yet.
func (f *File) Later() []string {
	var all []string
	var walk func(path string, rows []*row)
	walk = func(path string, rows []*row) {
		for _, r := range rows {
			switch r.Kind {
			case KindTable:
				walk(path+r.Name+".", r.inner)
			case KindTables:
				for i := range r.count() {
					walk(path+r.Name+"."+strconv.Itoa(i)+".", r.at(i))
				}
			default:
				if r.Later && r.changed() {
					all = append(all, path+r.Name)
				}
			}
		}
	}
	walk("", f.rows())
	return all
}

// Broker is the configuration as package broker takes it, without a log. What a
// broker does not do yet is an error: whoever wrote it expects something.
func (f *File) Broker() (broker.Config, error) {
	if later := f.Later(); len(later) > 0 {
		return broker.Config{}, fmt.Errorf("not served yet: %s", strings.Join(later, ", "))
	}
	cfg := broker.Config{
		Engine: f.Engine, Limits: f.Limits,
		ServerReference: f.ServerReference, ServerMoved: f.ServerMoved,
		ResponsePrefix: f.ResponsePrefix, ValidatePayloads: f.ValidatePayloads,
		PasswordFile: f.Auth.PasswordFile, ACLFile: f.Auth.ACLFile, DenyCloses: f.Auth.DenyCloses,
		Anonymous: f.Auth.Anonymous.Bool(),
		// The broker's own zero is its default.
		ShutdownTimeout: max(f.ShutdownTimeout, 1),
	}
	for i := range f.Listeners {
		l, err := f.Listeners[i].broker()
		if err != nil {
			return cfg, fmt.Errorf("listener %s: %w", f.Listeners[i].Name, err)
		}
		cfg.Listeners = append(cfg.Listeners, l)
	}
	return cfg, nil
}

// broker is the listener as package broker takes it.
func (l *Listener) broker() (broker.Listener, error) {
	e, err := l.Endpoint()
	if err != nil {
		return broker.Listener{}, err
	}
	out := broker.Listener{
		URL: e.url(), Name: l.Name, ConnsMax: l.MaxConnections, AcceptRate: l.ConnectRate.perSecond(),
		Origins: l.Origins, Anonymous: l.Anonymous.Bool(),
		Mode: fs.FileMode(l.Mode), Owner: l.Owner, Group: l.Group,
		Proxy: l.ProxyProtocol != "off", Trusted: slices.Concat(l.ProxyTrusted, l.ForwardedTrusted),
	}
	if out.Proxy && len(l.ForwardedTrusted) > 0 {
		return out, errors.New("proxy_protocol and forwarded_trusted together are not served yet")
	}
	for _, v := range l.Versions {
		out.Versions = append(out.Versions, map[string]byte{"3.1": 3, "3.1.1": 4, "5": 5}[v])
	}
	return out, nil
}

// url is in the form that package broker reads.
func (e Endpoint) url() string {
	if e.Socket != "" {
		return "unix://" + e.Socket
	}
	return e.Scheme + "://" + net.JoinHostPort(strings.ReplaceAll(e.Host, "%", "%25"), strconv.Itoa(e.Port)) + e.Path
}

// perSecond rounds up: a rate that is set is at least 1.
func (r Rate) perSecond() int {
	if r.Count == 0 {
		return 0
	}
	return int((int64(r.Count)*int64(time.Second) + int64(r.Per) - 1) / int64(r.Per))
}
