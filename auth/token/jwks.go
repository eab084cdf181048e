package token

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
)

// jwk is one key of a set (RFC 7517), with what RFC 7518 and 8037 add.
type jwk struct {
	Kty    string   `json:"kty"`
	Use    string   `json:"use"`
	KeyOps []string `json:"key_ops"`
	Alg    string   `json:"alg"`
	Kid    string   `json:"kid"`
	Crv    string   `json:"crv"`
	N      string   `json:"n"`
	E      string   `json:"e"`
	X      string   `json:"x"`
	Y      string   `json:"y"`
	K      string   `json:"k"`
	D      string   `json:"d"`
}

// errSkip is for a key that is for something else, or newer than this program.
var errSkip = errors.New("not for us")

// JWKS reads a JSON Web Key Set. Keys for encryption and of unknown kinds are
// passed over, as RFC 7517 section 5 wants.
func JWKS(name string, text []byte) (*Keys, error) {
	if len(text) > fileBytesMax {
		return nil, fmt.Errorf("%s: more than %d bytes; is this a key set?", name, fileBytesMax)
	}
	var set struct {
		Keys []jwk `json:"keys"`
	}
	if err := json.Unmarshal(text, &set); err != nil {
		return nil, fmt.Errorf("%s: %w; write {\"keys\": [...]}", name, err)
	}
	if len(set.Keys) > keysMax {
		return nil, fmt.Errorf(errTooManyFmt, name, keysMax)
	}
	keys := &Keys{}
	var errs []error
	for i := range set.Keys {
		k, err := set.Keys[i].key()
		switch {
		case err == nil:
			keys.all = append(keys.all, k)
		case !errors.Is(err, errSkip):
			errs = append(errs, fmt.Errorf("%s: key %d, kid %.40q: %w", name, i+1, set.Keys[i].Kid, err))
		}
	}
	if len(keys.all) == 0 && errs == nil {
		errs = append(errs, fmt.Errorf("%s: no key in it that signatures can be checked with", name))
	}
	if errs != nil {
		return nil, errors.Join(errs...)
	}
	return keys, nil
}

// key checks one entry of a set.
func (j *jwk) key() (k key, err error) {
	if j.Use != "" && j.Use != "sig" || j.KeyOps != nil && !slices.Contains(j.KeyOps, "verify") {
		return k, errSkip
	}
	if j.D != "" {
		return k, errPrivate
	}
	k.id = j.Kid
	switch j.Kty {
	case "RSA":
		k.material, err = j.rsa()
	case "EC":
		k.material, err = j.ec()
	case "OKP":
		if j.Crv != "Ed25519" {
			return k, errSkip
		}
		var x []byte
		x, err = number("x", j.X, ed25519.PublicKeySize)
		k.material = ed25519.PublicKey(x)
	case "oct":
		var secret []byte
		if secret, err = number("k", j.K, 0); err == nil && len(secret) < secretBytes {
			err = fmt.Errorf("a secret of %d bytes; %d at least", len(secret), secretBytes)
		}
		k.material, k.methods = secret, hmacMethods(secret)
	default:
		return k, errSkip
	}
	if err == nil && k.methods == nil {
		k.methods, err = methodsOf(k.material)
	}
	if err == nil && j.Alg != "" {
		if !slices.Contains(k.methods, j.Alg) {
			return k, errSkip
		}
		k.methods = []string{j.Alg}
	}
	return k, err
}

func (j *jwk) rsa() (*rsa.PublicKey, error) {
	n, err := number("n", j.N, 0)
	if err != nil {
		return nil, err
	}
	e, err := number("e", j.E, 0)
	if err != nil {
		return nil, err
	}
	exponent := new(big.Int).SetBytes(e)
	if exponent.BitLen() > 31 || exponent.Int64() < 3 || exponent.Bit(0) == 0 {
		return nil, errors.New("the RSA exponent is no odd number from 3 to 31 bits")
	}
	return &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(exponent.Int64())}, nil
}

func (j *jwk) ec() (*ecdsa.PublicKey, error) {
	var curve elliptic.Curve
	switch j.Crv {
	case "P-256":
		curve = elliptic.P256()
	case "P-384":
		curve = elliptic.P384()
	case "P-521":
		curve = elliptic.P521()
	default:
		return nil, errSkip
	}
	size := (curve.Params().BitSize + 7) / 8
	x, err := number("x", j.X, size)
	if err != nil {
		return nil, err
	}
	y, err := number("y", j.Y, size)
	if err != nil {
		return nil, err
	}
	k, err := ecdsa.ParseUncompressedPublicKey(curve, slices.Concat([]byte{4}, x, y))
	if err != nil {
		return nil, fmt.Errorf("x and y are no point of %s", j.Crv)
	}
	return k, nil
}

// number decodes a field; size 0: any but none.
func number(name, text string, size int) ([]byte, error) {
	b, err := base64.RawURLEncoding.DecodeString(text)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s is not base64url", name)
	case size > 0 && len(b) != size || len(b) == 0:
		return nil, fmt.Errorf("%s has %d bytes", name, len(b))
	}
	return b, nil
}
