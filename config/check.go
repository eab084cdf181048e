package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/loopmq/loopmq/broker"
)

// wrong notes a problem with a key, where that key is set, or the table that it
// belongs to.
func (in *reader) wrong(key, what, hint string) {
	if slices.ContainsFunc(in.problems, func(p Problem) bool { return p.Key == key }) {
		return // what was read there is not what is written
	}
	at := place{}
	for path := key; path != ""; {
		if p, ok := in.places[path]; ok {
			at = p
			break
		}
		path = path[:max(0, strings.LastIndexByte(path, '.'))]
	}
	in.problems = append(in.problems, at.problem(key, what, hint))
}

// set says that a key is there.
func (in *reader) set(key string) bool {
	_, ok := in.places[key]
	return ok
}

// check finds what is wrong with settings together.
func (in *reader) check(f *File) {
	if f.Engine != "" && !slices.Contains(broker.Engines(), f.Engine) {
		in.wrong("engine", quote(f.Engine)+" is not built for this platform", "write "+either(broker.Engines()))
	}
	if f.ServerMoved && f.ServerReference == "" {
		in.wrong("server_moved", "there is no server_reference", "say where to")
	}
	if n := f.Limits.MemoryBytesMax; n > 0 && n < memoryLimitMin {
		in.wrong("limits.memory_limit", quote(formatSize(n))+" is less than the broker needs", "write "+quote(formatSize(memoryLimitMin))+" or more")
	}
	in.checkStateDir(f.StateDir)
	in.checkState(f)
	if strings.Contains(f.Log.To, "/") {
		in.directory("log.to", filepath.Dir(f.Log.To))
	}
	for i := range f.Listeners {
		in.checkListener(f, i)
	}
	in.checkNames(f.Listeners)
	in.checkAuth(&f.Auth)
	in.checkChain("auth.chain", f.Auth.Chain, f, nil)
	if len(f.Auth.Peer.Users) > 0 && !slices.ContainsFunc(f.Listeners, func(l Listener) bool { return strings.HasPrefix(l.URL, "unix:") }) {
		in.wrong("auth.peer.users", "no listener is a unix socket", `add one: [[listener]] url = "unix:///run/loopmq/loopmq.sock"`)
	}
}

// memoryLimitMin is what the broker takes with nobody connected, twice.
const memoryLimitMin = 16 << 20

func (in *reader) checkStateDir(dir string) {
	if dir == "" || dir == StateDirAuto || dir == StateDirNone {
		return
	}
	switch info, err := in.stat(dir); {
	case err == nil && !info.IsDir():
		in.wrong("state_dir", dir+" is not a directory", "")
	case err != nil && os.IsNotExist(err):
		in.directory("state_dir", filepath.Dir(filepath.Clean(dir)))
	case err != nil:
		in.wrong("state_dir", reason(err), "")
	}
}

// Sizes of the state directory that make no sense below.
const (
	stateSegmentMin   = 256 << 10
	stateBytesMin     = 4 << 20
	stateSegmentsMost = 7 // that a limit must have room for
)

// checkState holds the sizes of the state directory and the classes of topics.
func (in *reader) checkState(f *File) {
	segment, most := f.StateSegmentBytes, f.StateBytesMax
	if segment > 0 && segment < stateSegmentMin {
		in.wrong("state_segment_bytes", quote(formatSize(segment))+" is too small", "write "+quote(formatSize(stateSegmentMin))+" or more, or 0")
	}
	switch least := max(stateBytesMin, stateSegmentsMost*segment); {
	case most > 0 && most < stateBytesMin:
		in.wrong("state_bytes_max", quote(formatSize(most))+" is too small", "write "+quote(formatSize(stateBytesMin))+" or more, or 0")
	case most > 0 && most < least:
		in.wrong("state_bytes_max", quote(formatSize(most))+" has no room for seven files of state_segment_bytes", "write "+quote(formatSize(least))+" or more")
	}
	for i, d := range f.Durability {
		key := "durability." + strconv.Itoa(i)
		if !in.set(key + ".filter") {
			in.wrong(key+".filter", "there is none", `write filter = "TOPIC/#"`)
		}
		for _, e := range f.Durability[:i] {
			if in.set(key+".filter") && e.Filter == d.Filter {
				in.wrong(key+".filter", quote(d.Filter)+" is in an earlier table, which counts", "leave one of the two out")
				break
			}
		}
	}
}

// reason is an error of a file without the name of the call that failed.
func reason(err error) string {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Path + ": " + e.Err.Error()
	}
	return err.Error()
}

// directory must be there.
func (in *reader) directory(key, dir string) {
	if info, err := in.stat(dir); err != nil {
		in.wrong(key, reason(err), "make the directory first")
	} else if !info.IsDir() {
		in.wrong(key, dir+" is not a directory", "")
	}
}

// file must be readable.
func (in *reader) file(key, path string) {
	if path == "" {
		return
	}
	switch info, err := in.stat(path); {
	case err != nil:
		in.wrong(key, reason(err), "")
	case info.IsDir():
		in.wrong(key, path+" is a directory", "")
	case info.Mode().IsRegular(): // to open others may take for ever
		if _, err := in.open(path); err != nil {
			in.wrong(key, reason(err), "")
		}
	}
}

// checkListener holds one listener against itself.
func (in *reader) checkListener(f *File, i int) {
	l, key := &f.Listeners[i], "listener."+strconv.Itoa(i)+"."
	if l.URL == "" {
		in.wrong(key+"url", "there is none", `write url = "mqtt://HOST:PORT"`)
		return
	}
	e, err := l.Endpoint()
	if err != nil {
		in.wrong(key+"url", quote(redacted(l.URL))+": "+err.Error(), "")
		return
	}
	// only says which keys make sense with some URLs only.
	only := func(ok bool, urls string, keys ...string) {
		for _, r := range l.rows() {
			if !ok && slices.Contains(keys, r.Name) && anyChanged(r) {
				in.wrong(key+r.Name, "makes no sense with "+e.Scheme+"://", "it is for "+urls)
			}
		}
	}
	only(e.WebSocket, "ws:// and wss://", "path", "origins", "forwarded_trusted")
	only(e.Socket != "", "unix://", "mode", "owner", "group")
	only(e.TLS, "mqtts://, tls:// and wss://", "tls")
	switch {
	case l.ProxyProtocol == "off" && len(l.ProxyTrusted) > 0:
		in.wrong(key+"proxy_trusted", "proxy_protocol is off", `write proxy_protocol = "any", or leave it out`)
	case l.ProxyProtocol != "off" && len(l.ProxyTrusted) == 0 && e.Socket == "":
		in.wrong(key+"proxy_protocol", "anybody could say to be somebody else", `say who may: proxy_trusted = ["10.0.0.0/8"]`)
	}
	in.file(key+"password_file", l.PasswordFile)
	in.file(key+"acl_file", l.ACLFile)
	in.checkChain(key+"auth", l.Auth, f, l)
	if e.TLS {
		in.checkTLS(key+"tls.", &l.TLS)
	}
}

// anyChanged says that a row, or one of its table, is not the default.
func anyChanged(r *row) bool {
	switch r.Kind {
	case KindTable:
		return slices.ContainsFunc(r.inner, anyChanged)
	case KindTables:
		return r.count() > 0
	}
	return r.changed()
}

func (in *reader) checkTLS(key string, t *TLS) {
	if t.Cert == "" {
		in.wrong(key+"cert", "there is none", "a listener with TLS needs one, and its key")
	}
	in.file(key+"cert", t.Cert)
	in.file(key+"key", t.Key)
	if info, err := in.stat(t.CA); err != nil || !info.IsDir() {
		in.file(key+"ca", t.CA)
	}
	in.file(key+"crl", t.CRL)
	for i, c := range t.Certificates {
		k := key + "certificate." + strconv.Itoa(i) + "."
		if c.Cert == "" {
			in.wrong(k+"cert", "there is none", "")
		}
		in.file(k+"cert", c.Cert)
		in.file(k+"key", c.Key)
	}
	switch {
	case t.ClientCerts != "none" && t.CA == "":
		in.wrong(key+"client_certs", "there is no ca", "say who signs them: ca = \"FILE\"")
	case t.ClientCerts == "none" && t.CRL != "":
		in.wrong(key+"crl", "clients are asked for no certificate", `write client_certs = "required"`)
	case t.ClientCerts == "none" && t.UserFrom != "":
		in.wrong(key+"user_from", "clients are asked for no certificate", `write client_certs = "required"`)
	}
	if t.MaxRecord > 0 && t.MaxRecord < 512 {
		in.wrong(key+"max_record", quote(formatSize(t.MaxRecord))+" is too small", `write "512B" to "16KiB"`)
	}
}

// checkNames finds listeners that are in each other's way.
func (in *reader) checkNames(all []Listener) {
	for i := range all {
		e, err := all[i].Endpoint()
		for j := range all[:i] {
			key := "listener." + strconv.Itoa(i) + "."
			first := "listener." + strconv.Itoa(j)
			if o, errO := all[j].Endpoint(); err == nil && errO == nil && e.overlaps(o) {
				in.wrong(key+"url", fmt.Sprintf("%s and %s of %s are the same place", quote(all[i].URL), quote(all[j].URL), first), "leave one out, or take another port")
			} else if all[i].Name == all[j].Name && all[i].Name != "" {
				in.wrong(key+"name", quote(all[i].Name)+" is the name of "+first+" too", "give each its own")
			}
		}
	}
}

// checkChain finds ways to log in that are named and not set up. l is nil for
// the chain of all listeners.
func (in *reader) checkChain(key string, chain []string, f *File, l *Listener) {
	for _, name := range chain {
		missing := ""
		switch name {
		case "password":
			if f.Auth.PasswordFile == "" && (l == nil || l.PasswordFile == "") {
				missing = "auth.password_file"
			}
		case "jwt":
			if f.Auth.JWT.Secret == "" && f.Auth.JWT.Keys == "" {
				missing = "auth.jwt.keys or auth.jwt.secret_file"
			}
		case "http":
			if f.Auth.HTTP.UserURL == "" {
				missing = "auth.http.user_url"
			}
		case "peer":
			if len(f.Auth.Peer.Users) == 0 {
				missing = "auth.peer.users"
			}
		case "certificate":
			if l != nil && l.TLS.UserFrom == "" {
				missing = "tls.user_from"
			}
		}
		if missing != "" {
			in.wrong(key, quote(name)+" is not set up", "set "+missing)
		}
	}
}

func (in *reader) checkAuth(a *Auth) {
	in.file("auth.password_file", a.PasswordFile)
	in.file("auth.acl_file", a.ACLFile)
	in.file("auth.bans.file", a.Bans.File)
	in.file("auth.jwt.keys", a.JWT.Keys)
	in.file("auth.http.ca", a.HTTP.CA)
	for _, name := range a.JWT.Algorithms {
		switch symmetric := strings.HasPrefix(name, "HS"); {
		case symmetric && a.JWT.Secret == "" && !in.set("auth.jwt.secret_file"):
			in.wrong("auth.jwt.algorithms", quote(name)+" needs a secret", "set auth.jwt.secret_file")
		case !symmetric && a.JWT.Keys == "":
			in.wrong("auth.jwt.algorithms", quote(name)+" needs public keys", "set auth.jwt.keys")
		}
	}
	if a.JWT.Leeway > 5*time.Minute {
		in.wrong("auth.jwt.leeway", quote(formatDuration(a.JWT.Leeway))+" is too long", `write "5m" or less`)
	}
	if a.JWT.Keys != "" && (a.JWT.Secret != "" || in.set("auth.jwt.secret_file")) {
		in.wrong("auth.jwt.keys", "there is a secret too", "leave one of the two out")
	}
	if a.JWT.UserClaim == "" {
		in.wrong("auth.jwt.user_claim", "must not be empty", `the usual one is "sub"`)
	}
	if a.HTTP.CA != "" && !strings.HasPrefix(a.HTTP.UserURL, "https:") {
		in.wrong("auth.http.ca", "user_url is without TLS", "write https://")
	}
}
