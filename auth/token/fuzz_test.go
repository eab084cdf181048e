package token_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"github.com/loopmq/loopmq/auth/token"
)

func BenchmarkVerify(b *testing.B) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	der, _ := x509.MarshalPKIXPublicKey(&private.PublicKey)
	keys, err := token.PEM("key", pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	if err != nil {
		b.Fatal(err)
	}
	v, _ := token.New(keys, token.Config{})
	claims := jwt.MapClaims{"sub": "amy", "exp": now.Unix() + 60}
	text, _ := jwt.NewWithClaims(jwt.SigningMethodES256, claims).SignedString(private)
	for b.Loop() {
		if _, err := v.Verify(text, now); err != nil {
			b.Fatal(err)
		}
	}
}

// FuzzToken: no text lets anybody in, but the token that is known to be good.
func FuzzToken(f *testing.F) {
	keys, err := token.Secret("s", secret)
	if err != nil {
		f.Fatal(err)
	}
	v, err := token.New(keys, token.Config{})
	if err != nil {
		f.Fatal(err)
	}
	claims := jwt.MapClaims{"sub": "amy", "exp": now.Unix() + 60, "publ": []string{"a/#"}}
	good, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString(secret)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add("eyJhbGciOiJub25lIn0." + strings.Split(good, ".")[1] + ".")
	f.Add("..")
	f.Fuzz(func(t *testing.T, text string) {
		if id, err := v.Verify(text, now); (err == nil) != (text == good) {
			t.Fatalf("%q: %+v, %v", text, id, err)
		}
	})
}

// FuzzKeys: what is taken as keys has algorithms, and never both kinds at once
// from one text.
func FuzzKeys(f *testing.F) {
	f.Add([]byte(`{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}`))
	f.Add([]byte(`{"keys":[{"kty":"oct","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"}]}`))
	f.Add([]byte("-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n"))
	f.Add(secret)
	f.Fuzz(func(t *testing.T, text []byte) {
		kinds := 0
		for _, read := range []func(string, []byte) (*token.Keys, error){token.Secret, token.PEM, token.JWKS} {
			keys, err := read("f", text)
			if (keys == nil) != (err != nil) {
				t.Fatalf("%v, %v", keys, err)
			}
			if keys == nil {
				continue
			}
			kinds++
			if _, err := token.New(keys, token.Config{}); err != nil {
				t.Fatal(err)
			}
		}
		if kinds > 1 {
			t.Fatalf("%q is several things", text)
		}
	})
}
