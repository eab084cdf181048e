package token_test

import (
	"strings"
	"testing"

	"github.com/loopmq/loopmq/auth/token"
)

// TestAlgorithmOfAKey: a key of a set that names its algorithm is for no other one.
func TestAlgorithmOfAKey(t *testing.T) {
	one := signers(t)["RS256"]
	keys, err := token.JWKS("set", set(t, with(one.jwk, "alg", "RS256")))
	v := verifier(t, keys, err, token.Config{})
	if id, err := v.Verify(sign(t, "RS256", one.private, nil, nil), now); err != nil || id.User != "amy" {
		t.Errorf("%+v, %v", id, err)
	}
	for _, alg := range []string{"RS384", "PS256"} {
		refused(t, v, alg, sign(t, alg, one.private, nil, nil), "token: ")
	}
}

// TestOneSpellingOfASignature: bits behind the last byte must be 0.
func TestOneSpellingOfASignature(t *testing.T) {
	keys, err := token.Secret("s", secret)
	v := verifier(t, keys, err, token.Config{})
	good := sign(t, "HS256", secret, nil, nil) // 43 characters of signature: two bits are left
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(alphabet, good[len(good)-1])
	for spare := 1; spare < 4; spare++ {
		refused(t, v, "other bits behind", good[:len(good)-1]+alphabet[last+spare:last+spare+1], "token: ")
	}
}
