package config

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/loopmq/loopmq/auth/guard"
	"github.com/loopmq/loopmq/auth/token"
	"github.com/loopmq/loopmq/broker"
)

// broker is the encryption as package broker takes it.
func (t *TLS) broker() (*broker.TLS, error) {
	out := &broker.TLS{
		Certificates: []string{t.Cert}, Keys: []string{t.Key},
		ClientCertificates: t.ClientCerts, UserFrom: t.UserFrom, MinVersion: t.MinVersion, ALPN: t.ALPN, RecordBytesMax: t.MaxRecord,
	}
	for _, c := range t.Certificates {
		out.Certificates, out.Keys = append(out.Certificates, c.Cert), append(out.Keys, c.Key)
	}
	var err error
	if out.ClientCAs, err = certificateFiles(t.CA); err != nil {
		return nil, err
	}
	if t.CRL != "" {
		out.CRLs = []string{t.CRL}
	}
	return out, nil
}

// certificateFiles are those of a directory, or the one file.
func certificateFiles(path string) ([]string, error) {
	if path == "" {
		return nil, nil
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return []string{path}, nil
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, err
	}
	var files []string
	for _, e := range entries {
		if slices.Contains([]string{".pem", ".crt", ".cer"}, filepath.Ext(e.Name())) {
			files = append(files, filepath.Join(path, e.Name()))
		}
	}
	if files == nil {
		return nil, fmt.Errorf("%s has no file that ends in .pem, .crt or .cer", path)
	}
	return files, nil
}

// broker is nil where tokens are not set up.
func (j *JWT) broker() *broker.Tokens {
	if j.SecretFile == "" && j.Keys == "" {
		return nil
	}
	return &broker.Tokens{
		Secret: j.SecretFile, Keys: j.Keys,
		Check: token.Config{
			Issuer: j.Issuer, Audience: j.Audience, Leeway: j.Leeway, Methods: j.Algorithms,
			UserClaim: j.UserClaim, ClientClaim: j.ClientClaim,
		},
	}
}

// broker is the guard as package guard takes it; its zeros are defaults, and
// check lets none through.
func (g *Guard) broker() guard.Config {
	return guard.Config{
		AddressBurst: g.AddressBurst, UserBurst: g.UserBurst, Refill: g.Refill,
		FirstDelay: g.FirstDelay, DelayMax: g.DelayMax, Exempt: g.Exempt, EntriesMax: g.EntriesMax,
	}
}

// broker is the list of bans.
func (b *Bans) broker() (bans []guard.Ban) {
	const why = "configuration"
	for _, n := range b.Networks {
		bans = append(bans, guard.Ban{Kind: guard.Network, Network: n, Why: why})
	}
	for _, name := range b.Users {
		bans = append(bans, guard.Ban{Kind: guard.User, Name: name, Why: why})
	}
	for _, id := range b.ClientIDs {
		bans = append(bans, guard.Ban{Kind: guard.ClientID, Name: id, Why: why})
	}
	return bans
}
