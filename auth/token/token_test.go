package token_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/loopmq/loopmq/auth/token"
)

var (
	now    = time.Unix(1_800_000_000, 0)
	secret = []byte(strings.Repeat("0123456789abcdef", 4))
)

// signer is a private key and its public half as a file.
type signer struct {
	private any
	pem     []byte
	jwk     map[string]any
}

// signers has one for each algorithm that is not HMAC.
func signers(t *testing.T) map[string]signer {
	t.Helper()
	b64 := base64.RawURLEncoding.EncodeToString
	all := map[string]signer{}
	r, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	one := signer{r, publicPEM(t, &r.PublicKey), map[string]any{
		"kty": "RSA", "n": b64(r.N.Bytes()), "e": b64(big.NewInt(int64(r.E)).Bytes()),
	}}
	for _, alg := range []string{"RS256", "RS384", "RS512", "PS256"} {
		all[alg] = one
	}
	for alg, curve := range map[string]elliptic.Curve{
		"ES256": elliptic.P256(), "ES384": elliptic.P384(), "ES512": elliptic.P521(),
	} {
		k, err := ecdsa.GenerateKey(curve, rand.Reader)
		must(t, err)
		point, err := k.PublicKey.Bytes()
		must(t, err)
		half := len(point) / 2
		all[alg] = signer{k, publicPEM(t, &k.PublicKey), map[string]any{
			"kty": "EC", "crv": curve.Params().Name, "x": b64(point[1 : 1+half]), "y": b64(point[1+half:]),
		}}
	}
	public, private, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	all["EdDSA"] = signer{private, publicPEM(t, public), map[string]any{"kty": "OKP", "crv": "Ed25519", "x": b64(public)}}
	return all
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func publicPEM(t *testing.T, k crypto.PublicKey) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(k)
	must(t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

func set(t *testing.T, keys ...map[string]any) []byte {
	t.Helper()
	text, err := json.Marshal(map[string]any{"keys": keys})
	must(t, err)
	return text
}

// with adds to a map.
func with(m map[string]any, more ...any) map[string]any {
	out := map[string]any{}
	maps.Copy(out, m)
	for i := 0; i < len(more); i += 2 {
		out[more[i].(string)] = more[i+1]
	}
	return out
}

func verifier(t *testing.T, keys *token.Keys, err error, c token.Config) *token.Verifier {
	t.Helper()
	must(t, err)
	v, err := token.New(keys, c)
	must(t, err)
	return v
}

// sign makes a token for amy that is good for a minute.
func sign(t *testing.T, alg string, key any, header, claims map[string]any) string {
	t.Helper()
	tok := jwt.NewWithClaims(jwt.GetSigningMethod(alg), jwt.MapClaims(with(map[string]any{
		"sub": "amy", "exp": now.Unix() + 60,
	})))
	for k, v := range claims {
		tok.Claims.(jwt.MapClaims)[k] = v
		if v == nil {
			delete(tok.Claims.(jwt.MapClaims), k)
		}
	}
	maps.Copy(tok.Header, header)
	text, err := tok.SignedString(key)
	must(t, err)
	return text
}

func refused(t *testing.T, v *token.Verifier, what, text, want string) {
	t.Helper()
	if id, err := v.Verify(text, now); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%s: %+v, %v; want %s", what, id, err, want)
	}
}

func TestEachAlgorithm(t *testing.T) {
	all := signers(t)
	for alg, s := range all {
		keys, err := token.PEM("key.pem", s.pem)
		v := verifier(t, keys, err, token.Config{})
		one := with(s.jwk, "kid", "k1", "use", "sig", "alg", alg, "key_ops", []string{"verify"})
		setKeys, err := token.JWKS("keys.json", set(t, one))
		w := verifier(t, setKeys, err, token.Config{})
		good := sign(t, alg, s.private, nil, nil)
		for _, x := range []*token.Verifier{v, w} {
			id, err := x.Verify(good, now)
			if err != nil || id.User != "amy" || !id.ExpiresAt.Equal(now.Add(time.Minute)) || id.Limited || id.ClientID != "" {
				t.Errorf("%s: %+v, %v", alg, id, err)
			}
			for other, o := range all {
				if !bytes.Equal(o.pem, s.pem) {
					refused(t, x, alg+" key, token of "+other, sign(t, other, o.private, nil, nil), "signature is invalid")
				}
			}
		}
		if _, err := w.Verify(sign(t, alg, s.private, map[string]any{"kid": "k1"}, nil), now); err != nil {
			t.Errorf("%s: %v", alg, err)
		}
		for _, kid := range []any{"k2", "", 1, nil} {
			text := sign(t, alg, s.private, map[string]any{"kid": kid}, nil)
			refused(t, w, fmt.Sprint(alg, " with kid ", kid), text, "no key for its alg and kid")
		}
	}
	keys, err := token.Secret("secret", append(slices.Clone(secret), '\n'))
	v := verifier(t, keys, err, token.Config{})
	for _, alg := range []string{"HS256", "HS384", "HS512"} {
		if id, err := v.Verify(sign(t, alg, secret, nil, nil), now); err != nil || id.User != "amy" {
			t.Errorf("%s: %+v, %v", alg, id, err)
		}
		refused(t, v, alg, sign(t, alg, secret[1:], nil, nil), "signature is invalid")
	}
	keys, err = token.Secret("secret", secret[:32])
	v = verifier(t, keys, err, token.Config{})
	refused(t, v, "HS512 with 32 bytes", sign(t, "HS512", secret[:32], nil, nil), "signature is invalid")
}

// TestForgeries: what has let strangers in elsewhere.
func TestForgeries(t *testing.T) {
	all := signers(t)
	b64 := base64.RawURLEncoding.EncodeToString
	part := func(v map[string]any) string {
		text, err := json.Marshal(v)
		must(t, err)
		return b64(text)
	}
	body := part(map[string]any{"sub": "amy", "exp": now.Unix() + 60})
	secretKeys, err := token.Secret("s", secret)
	verifiers := map[string]*token.Verifier{"HS256": verifier(t, secretKeys, err, token.Config{})}
	for _, alg := range []string{"RS256", "ES256", "EdDSA"} {
		keys, err := token.PEM("k", all[alg].pem)
		verifiers[alg] = verifier(t, keys, err, token.Config{})
	}
	for alg, v := range verifiers {
		// No signature at all.
		for _, none := range []any{"none", "None", "NONE", "nOnE", "", nil, 0, true, []string{alg}} {
			head := part(map[string]any{"alg": none, "typ": "JWT"})
			for _, signature := range []string{"", b64([]byte("x")), b64(make([]byte, 64))} {
				refused(t, v, fmt.Sprint(alg, " as ", none), head+"."+body+"."+signature, "token: ")
			}
		}
		refused(t, v, "no alg", part(map[string]any{})+"."+body+".", "token: ")
		head := part(map[string]any{"alg": alg})
		for _, signature := range []string{"", b64(make([]byte, 64)), b64(make([]byte, 256))} {
			refused(t, v, alg+" of zeros", head+"."+body+"."+signature, "signature is invalid")
		}
		// Not three parts of base64url.
		for _, text := range []string{
			"", ".", "..", "a.b", "a.b.c.d", "a.b.c", head + "." + body, body, strings.Repeat(".", 1000),
		} {
			refused(t, v, "malformed", text, "token is malformed")
		}
		refused(t, v, "long", strings.Repeat("a", 20_000), "more than 16384")

		key := any(secret)
		if alg != "HS256" {
			key = all[alg].private
		}
		good := sign(t, alg, key, nil, nil)
		dot := strings.LastIndexByte(good, '.')
		signature, err := base64.RawURLEncoding.DecodeString(good[dot+1:])
		must(t, err)
		for i := range signature {
			bad := slices.Clone(signature)
			bad[i] ^= 1 << (i % 8)
			refused(t, v, "one bit", good[:dot+1]+b64(bad), "signature is invalid")
		}
		for _, text := range []string{
			good + "=", good + "A", good + "\n", "\r" + good, " " + good, good + "." + good, good[:len(good)-1],
		} {
			refused(t, v, "more or less", text, "token")
		}
		bob := part(map[string]any{"sub": "bob", "exp": now.Unix() + 60})
		parts := strings.Split(good, ".")
		refused(t, v, "other claims", parts[0]+"."+bob+"."+parts[2], "signature is invalid")
		// What must be understood, and is not.
		refused(t, v, "crit", sign(t, alg, key, map[string]any{"crit": []string{"b64"}, "b64": false}, nil), "crit")
	}
	confusion(t, all, verifiers)
}

// TestPublicKeyThatEndsLikeALine: a key of Ed25519 may have any bytes, also at its end.
func TestPublicKeyThatEndsLikeALine(t *testing.T) {
	for _, end := range []string{"\n", "\r", "\r\n", "\n\n", "x"} {
		der := "\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00" + strings.Repeat("k", 32-len(end)) + end
		for _, behind := range []string{"", "\n", "\r\n"} {
			if _, err := token.Secret("key", []byte(der+behind)); err == nil || !strings.Contains(err.Error(), "key file") {
				t.Errorf("a public key that ends with %q, and then %q: %v", end, behind, err)
			}
		}
	}
}

// confusion signs with what is public.
func confusion(t *testing.T, all map[string]signer, verifiers map[string]*token.Verifier) {
	t.Helper()
	for _, alg := range []string{"RS256", "ES256", "EdDSA"} {
		block, _ := pem.Decode(all[alg].pem)
		for name, known := range map[string][]byte{
			"PEM": all[alg].pem, "trimmed": bytes.TrimSpace(all[alg].pem), "DER": block.Bytes, "nothing": {},
		} {
			for _, hs := range []string{"HS256", "HS384", "HS512"} {
				refused(t, verifiers[alg], hs+" by "+name+" of "+alg, sign(t, hs, known, nil, nil), "signature is invalid")
			}
			if name == "nothing" {
				continue
			}
			if _, err := token.Secret("key", known); err == nil {
				t.Errorf("%s of %s is taken for a secret", name, alg)
			}
		}
		refused(t, verifiers["HS256"], alg, sign(t, alg, all[alg].private, nil, nil), "signature is invalid")
		// A key that the token brings along.
		stranger := signers(t)[alg]
		for _, header := range []map[string]any{
			{"jwk": stranger.jwk}, {"jku": "http://127.0.0.1/"}, {"x5c": []string{"x"}}, {"kid": "../../dev/null"},
		} {
			refused(t, verifiers[alg], "its own key", sign(t, alg, stranger.private, header, nil), "signature is invalid")
		}
	}
	// In a set of both kinds, each key with its own algorithms.
	both, err := token.JWKS("both", set(t, with(all["RS256"].jwk, "kid", "a"),
		map[string]any{"kty": "oct", "k": base64.RawURLEncoding.EncodeToString(secret), "kid": "b"}))
	v := verifier(t, both, err, token.Config{})
	for kid, ok := range map[string]bool{"a": false, "b": true} {
		if _, err := v.Verify(sign(t, "HS256", secret, map[string]any{"kid": kid}, nil), now); (err == nil) != ok {
			t.Errorf("HS256 with kid %s: %v", kid, err)
		}
	}
	refused(t, v, "HS256 by PEM", sign(t, "HS256", all["RS256"].pem, nil, nil), "signature is invalid")
	if _, err := token.New(both, token.Config{Methods: []string{"RS256"}}); err != nil {
		t.Error(err)
	}
	v = verifier(t, both, nil, token.Config{Methods: []string{"RS256"}})
	refused(t, v, "HS256", sign(t, "HS256", secret, nil, nil), "signature is invalid")
}

func TestClaims(t *testing.T) {
	keys, err := token.Secret("s", secret)
	at, issued := now.Unix(), map[string]any{"iss": "home", "aud": []string{"other", "mqtt"}}
	text := func(more ...any) string { return sign(t, "HS256", secret, nil, with(issued, more...)) }
	c := token.Config{Issuer: "home", Audience: "mqtt", Leeway: 10 * time.Second, ClientClaim: "cid"}
	v := verifier(t, keys, err, c)
	for _, row := range []struct {
		claims map[string]any
		want   string // of the error; empty: fine
	}{
		{map[string]any{}, ""},
		{map[string]any{"aud": "mqtt"}, ""},
		{map[string]any{"exp": at - 9}, ""},
		{map[string]any{"exp": at - 10}, "token is expired"},
		{map[string]any{"exp": at - 100}, "token is expired"},
		{map[string]any{"exp": nil}, "required claim"},
		{map[string]any{"exp": 0}, "token"},
		{map[string]any{"exp": -1}, "token is expired"},
		{map[string]any{"exp": "tomorrow"}, "token"},
		{map[string]any{"exp": fmt.Sprint(at + 60)}, "token"},
		{map[string]any{"exp": 1e300}, "token"},
		{map[string]any{"exp": json.Number("1e999")}, "token"},
		{map[string]any{"exp": int64(253402300800)}, "before the year 10000"},
		{map[string]any{"exp": int64(253402300799)}, ""},
		{map[string]any{"nbf": at + 10}, ""},
		{map[string]any{"nbf": at + 11}, "not valid yet"},
		{map[string]any{"nbf": "x"}, "token"},
		{map[string]any{"nbf": 1e300}, "token"},
		{map[string]any{"nbf": -1e300}, "token"},
		{map[string]any{"iss": "Home"}, "issuer"},
		{map[string]any{"iss": nil}, "token"},
		{map[string]any{"iss": []string{"home"}}, "token"},
		{map[string]any{"aud": "mqt"}, "audience"},
		{map[string]any{"aud": []string{}}, "token"},
		{map[string]any{"aud": nil}, "token"},
		{map[string]any{"aud": 1}, "token"},
		{map[string]any{"sub": nil}, `"sub", the user name, is missing`},
		{map[string]any{"sub": ""}, "no text of 1 to 1024"},
		{map[string]any{"sub": 7}, "no text"},
		{map[string]any{"sub": "a\x00b"}, "no text"},
		{map[string]any{"sub": "a\nb"}, "no text"},
		{map[string]any{"sub": strings.Repeat("a", 1025)}, "no text"},
		{map[string]any{"cid": 1}, "no text"},
		{map[string]any{"cid": ""}, "no text"},
		{map[string]any{"publ": "a/#"}, "claim publ is no list"},
		{map[string]any{"subs": []any{"a", 1}}, "claim subs holds what is no filter"},
		{map[string]any{"subs": []string{"a#"}}, "claim subs holds what is no filter"},
		{map[string]any{"publ": []string{""}}, "claim publ holds what is no filter"},
		{map[string]any{"publ": nil}, ""},
		{map[string]any{"publ": make([]string, 1001)}, "up to 1000"},
	} {
		id, err := v.Verify(text(flat(row.claims)...), now)
		switch {
		case row.want == "" && (err != nil || id.User != "amy"),
			row.want != "" && (err == nil || !strings.Contains(err.Error(), row.want)):
			t.Errorf("%v: %+v, %v; want %s", row.claims, id, err, row.want)
		case err != nil && (id.User != "" || id.Limited):
			t.Errorf("%v: %+v in spite of %v", row.claims, id, err)
		}
	}
	id, err := v.Verify(text("cid", "c1", "publ", []string{"a/+", "$x/#"}, "iat", at+1000), now)
	if err != nil || id.ClientID != "c1" || !id.Limited || !slices.Equal(id.Publish, []string{"a/+", "$x/#"}) ||
		len(id.Subscribe) != 0 || !id.ExpiresAt.Equal(now.Add(70*time.Second)) {
		t.Errorf("%+v, %v", id, err)
	}
	if id, err := v.Verify(text("subs", []string{}), now); err != nil || !id.Limited {
		t.Errorf("empty subs: %+v, %v", id, err)
	}
	if _, err := v.Verify(text("exp", at-100), now); !errors.Is(err, token.ErrExpired) {
		t.Errorf("expired: %v", err)
	}
	c.UserClaim = "name"
	v = verifier(t, keys, nil, c)
	if id, err := v.Verify(text("name", "bob/x"), now); err != nil || id.User != "bob/x" {
		t.Errorf("%+v, %v", id, err)
	}
	refused(t, v, "no name", text(), `"name", the user name, is missing`)
}

func flat(m map[string]any) (all []any) {
	for k, v := range m {
		all = append(all, k, v)
	}
	return all
}

func TestKeysSayWhatIsWrong(t *testing.T) {
	all := signers(t)
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	must(t, err)
	der, err := x509.MarshalPKCS8PrivateKey(all["ES256"].private)
	must(t, err)
	private := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	must(t, err)
	ec := all["ES256"].jwk
	pemFile := func(text []byte) func() (*token.Keys, error) {
		return func() (*token.Keys, error) { return token.PEM("key", text) }
	}
	secretFile := func(text string) func() (*token.Keys, error) {
		return func() (*token.Keys, error) { return token.Secret("key", []byte(text)) }
	}
	jwks := func(keys ...map[string]any) func() (*token.Keys, error) {
		return func() (*token.Keys, error) { return token.JWKS("key", set(t, keys...)) }
	}
	for _, row := range []struct {
		read func() (*token.Keys, error)
		want string
	}{
		{pemFile(nil), "no key in it; write a block -----BEGIN PUBLIC KEY-----"},
		{pemFile(private), `block 1, "PRIVATE KEY": this is a private key`},
		{pemFile(slices.Concat(all["ES256"].pem, private)), "block 2"},
		{pemFile(publicPEM(t, &weak.PublicKey)), "RSA key of 1024 bits: 2048 to 8192"},
		{pemFile(publicPEM(t, &p224.PublicKey)), "curve P-224"},
		{pemFile(pem.EncodeToMemory(&pem.Block{Type: "X", Bytes: der})), "write PUBLIC KEY"},
		{pemFile(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})), "block 1"},
		{pemFile(bytes.Repeat(all["EdDSA"].pem, 65)), "more than 64 keys"},
		{pemFile(make([]byte, 2<<20)), "is this a key file?"},
		{secretFile("short"), "a secret of 5 bytes; 32 at least"},
		{secretFile(string(all["ES256"].pem)), "this is a key file"},
		{secretFile(string(set(t, ec))), "this looks like a key set"},
		{jwks(), "no key in it that signatures can be checked with"},
		{jwks(with(ec, "use", "enc"), with(ec, "alg", "RS256"), with(ec, "kty", "new")), "no key in it"},
		{jwks(with(ec, "key_ops", []string{"sign"}), with(ec, "crv", "P-224")), "no key in it"},
		{jwks(with(ec, "d", "AAAA")), "private key"},
		{jwks(with(ec, "x", "AAAA", "kid", "k")), `key 1, kid "k": x has 3 bytes`},
		{jwks(with(ec, "y", ec["x"])), "no point of P-256"},
		{jwks(with(ec, "x", "*")), "x is not base64url"},
		{jwks(with(all["RS256"].jwk, "e", "AQ")), "RSA exponent is no odd number"},
		{jwks(with(all["RS256"].jwk, "e", "Ag")), "RSA exponent"},
		{jwks(with(all["RS256"].jwk, "e", strings.Repeat("A", 40)+"AQAAAAAAAQ")), "RSA exponent"},
		{jwks(with(all["RS256"].jwk, "n", "AQAB")), "RSA key of 17 bits"},
		{jwks(with(all["EdDSA"].jwk, "x", "AQAB")), "x has 3 bytes"},
		{jwks(map[string]any{"kty": "oct", "k": "AQAB"}), "a secret of 3 bytes"},
		{jwks(map[string]any{"kty": "oct"}), "k has 0 bytes"},
	} {
		keys, err := row.read()
		if keys != nil || err == nil || !strings.HasPrefix(err.Error(), "key: ") || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%v; want %s", err, row.want)
		}
	}
	if _, err := token.JWKS("key", []byte("[]")); err == nil || !strings.Contains(err.Error(), `write {"keys": [...]}`) {
		t.Errorf("a list: %v", err)
	}
	keys, err := token.PEM("key", all["EdDSA"].pem)
	must(t, err)
	for _, c := range []token.Config{
		{Methods: []string{"none"}},
		{Methods: []string{"HS256"}},
		{Methods: []string{}},
		{Leeway: -1},
		{Leeway: time.Hour},
	} {
		if _, err := token.New(keys, c); err == nil {
			t.Errorf("%+v is taken", c)
		}
	}
}

// TestManyKeys takes tokens of two issuers' keys out of one file.
func TestManyKeys(t *testing.T) {
	all, old := signers(t), signers(t)
	file := slices.Concat([]byte("# old and new\n"), old["ES256"].pem, all["ES256"].pem, all["RS256"].pem)
	keys, err := token.PEM("key", file)
	v := verifier(t, keys, err, token.Config{})
	for _, s := range []string{
		sign(t, "ES256", old["ES256"].private, nil, nil),
		sign(t, "ES256", all["ES256"].private, map[string]any{"kid": "any"}, nil),
		sign(t, "RS512", all["RS256"].private, nil, nil),
	} {
		if _, err := v.Verify(s, now); err != nil {
			t.Error(err)
		}
	}
	refused(t, v, "another key", sign(t, "RS256", old["RS256"].private, nil, nil), "signature is invalid")
}
