package token

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
)

// Bounds of a file of keys.
const (
	fileBytesMax  = 1 << 20
	keysMax       = 64
	rsaBitsMin    = 2048 // RFC 7518 section 3.3
	rsaBitsMax    = 8192
	secretBytes   = 32 // for HS256, RFC 7518 section 3.2: as long as the hash
	errTooManyFmt = "%s: more than %d keys"
)

// Keys are what tokens may be signed with.
type Keys struct{ all []key }

type key struct {
	id       string // empty: none
	methods  []string
	material any
}

// methods are the algorithms of all keys, each once.
func (k *Keys) methods() (all []string) {
	for i := range k.all {
		for _, m := range k.all[i].methods {
			if !slices.Contains(all, m) {
				all = append(all, m)
			}
		}
	}
	return all
}

// find returns the keys that a token of this algorithm and key identifier may
// be signed with.
func (k *Keys) find(method, id string, hasID bool) (found []key) {
	for _, one := range k.all {
		if slices.Contains(one.methods, method) && (!hasID || one.id == "" || one.id == id) {
			found = append(found, one)
		}
	}
	return found
}

// Secret makes a key of a file that holds a shared secret, for HS256, and with
// 48 and 64 bytes for HS384 and HS512 too. A line end behind it does not count.
//
// What looks like a public key is refused: everybody may know that one, and
// could sign with it.
func Secret(name string, text []byte) (*Keys, error) {
	secret := bytes.TrimRight(text, "\r\n")
	trimmed := bytes.TrimSpace(secret)
	switch {
	case len(text) > fileBytesMax:
		return nil, fmt.Errorf("%s: more than %d bytes; is this a secret?", name, fileBytesMax)
	case bytes.Contains(secret, []byte("-----BEGIN")) || isDER(text):
		return nil, fmt.Errorf("%s: this is a key file, no shared secret; name it as one", name)
	case bytes.HasPrefix(trimmed, []byte("{")):
		return nil, fmt.Errorf("%s: this looks like a key set, no shared secret; name it as one", name)
	case len(secret) < secretBytes:
		return nil, fmt.Errorf("%s: a secret of %d bytes; %d at least, such as openssl rand -hex 32 makes",
			name, len(secret), secretBytes)
	}
	return &Keys{[]key{{methods: hmacMethods(secret), material: slices.Clone(secret)}}}, nil
}

// isDER tells whether text is a public key, perhaps with line ends behind it; its own last byte may look like one.
func isDER(text []byte) bool {
	for n := len(text); ; n-- {
		if _, err := x509.ParsePKIXPublicKey(text[:n]); err == nil {
			return true
		}
		if n == 0 || text[n-1] != '\n' && text[n-1] != '\r' {
			return false
		}
	}
}

func hmacMethods(secret []byte) []string {
	methods := []string{"HS256"}
	if len(secret) >= 48 {
		methods = append(methods, "HS384")
	}
	if len(secret) >= 64 {
		methods = append(methods, "HS512")
	}
	return methods
}

// PEM reads public keys and certificates; more than one while keys change.
func PEM(name string, text []byte) (*Keys, error) {
	if len(text) > fileBytesMax {
		return nil, fmt.Errorf("%s: more than %d bytes; is this a key file?", name, fileBytesMax)
	}
	keys := &Keys{}
	var errs []error
	for n := 1; ; n++ {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			break
		}
		if len(keys.all) == keysMax {
			return nil, fmt.Errorf(errTooManyFmt, name, keysMax)
		}
		material, err := parseBlock(block)
		var methods []string
		if err == nil {
			methods, err = methodsOf(material)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: block %d, %.40q: %w", name, n, block.Type, err))
			continue
		}
		keys.all = append(keys.all, key{methods: methods, material: material})
	}
	if len(keys.all) == 0 && errs == nil {
		errs = append(errs, fmt.Errorf("%s: no key in it; write a block -----BEGIN PUBLIC KEY-----", name))
	}
	if errs != nil {
		return nil, errors.Join(errs...)
	}
	return keys, nil
}

func parseBlock(b *pem.Block) (any, error) {
	switch b.Type {
	case "PUBLIC KEY":
		return x509.ParsePKIXPublicKey(b.Bytes)
	case "RSA PUBLIC KEY":
		return x509.ParsePKCS1PublicKey(b.Bytes)
	case "CERTIFICATE":
		c, err := x509.ParseCertificate(b.Bytes)
		if err != nil {
			return nil, err
		}
		return c.PublicKey, nil
	case "PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY", "ENCRYPTED PRIVATE KEY":
		return nil, errPrivate
	}
	return nil, errors.New("write PUBLIC KEY, RSA PUBLIC KEY or CERTIFICATE")
}

var errPrivate = errors.New("this is a private key, which is the issuer's alone; give the public one")

// methodsOf are the algorithms that belong to a public key.
func methodsOf(material any) ([]string, error) {
	switch k := material.(type) {
	case *rsa.PublicKey:
		if bits := k.N.BitLen(); bits < rsaBitsMin || bits > rsaBitsMax {
			return nil, fmt.Errorf("RSA key of %d bits: %d to %d", bits, rsaBitsMin, rsaBitsMax)
		}
		return []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}, nil
	case *ecdsa.PublicKey:
		switch k.Curve {
		case elliptic.P256():
			return []string{"ES256"}, nil
		case elliptic.P384():
			return []string{"ES384"}, nil
		case elliptic.P521():
			return []string{"ES512"}, nil
		}
		return nil, fmt.Errorf("curve %s: P-256, P-384 and P-521 are known", k.Params().Name)
	case ed25519.PublicKey:
		return []string{"EdDSA"}, nil
	}
	return nil, fmt.Errorf("key of type %T: RSA, EC and Ed25519 are known", material)
}
