package token

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/golang-jwt/jwt/v5"

	"github.com/loopmq/loopmq/router/topic"
)

// Bounds of a token.
const (
	tokenBytesMax = 16 << 10
	nameBytesMax  = 1024
	filtersMax    = 1000
	instantMax    = 253402300799 // the last second of the year 9999
)

// Config says what a token must hold beside a signature and `exp`.
type Config struct {
	Issuer      string        // `iss` must be this; empty: any
	Audience    string        // `aud` must hold this; empty: any
	Leeway      time.Duration // by which clocks may differ, up to 5 minutes
	Methods     []string      // of the keys' algorithms only these; nil: all
	UserClaim   string        // the claim with the user name; empty: sub
	ClientClaim string        // the claim with the client identifier; empty: not looked at
}

const leewayMax = 5 * time.Minute

// Identity is what a token says of its bearer.
type Identity struct {
	User     string
	ClientID string // empty: any
	// Publish and Subscribe are filters, from the claims `publ` and `subs`; they
	// count if Limited, and then an empty list is nothing at all.
	Limited            bool
	Publish, Subscribe []string
	// ExpiresAt is when the bearer must go: `exp` and the leeway.
	ExpiresAt time.Time
}

// ErrExpired is among the reasons of an error where a token was good once.
var ErrExpired = jwt.ErrTokenExpired

// Verifier checks tokens.
type Verifier struct {
	keys    *Keys
	config  Config
	methods []string
}

// New checks the configuration.
func New(keys *Keys, c Config) (*Verifier, error) {
	v := &Verifier{keys: keys, config: c, methods: keys.methods()}
	if v.config.UserClaim == "" {
		v.config.UserClaim = "sub"
	}
	if c.Leeway < 0 || c.Leeway > leewayMax {
		return nil, fmt.Errorf("leeway %v: 0 to %v", c.Leeway, leewayMax)
	}
	if c.Methods != nil {
		for _, m := range c.Methods {
			if !slices.Contains(v.methods, m) {
				return nil, fmt.Errorf("algorithm %.20q: the keys are for %s", m, strings.Join(v.methods, ", "))
			}
		}
		v.methods = slices.Clone(c.Methods)
	}
	// Without an algorithm the parser below would take any.
	if len(v.methods) == 0 {
		return nil, errors.New("no algorithm is left that a token may be signed with")
	}
	return v, nil
}

// Verify says who shows this token at this time. The error says why nobody; it
// repeats nothing of the token but what has been checked.
func (v *Verifier) Verify(token string, now time.Time) (Identity, error) {
	if len(token) > tokenBytesMax {
		return Identity{}, fmt.Errorf("token of %d bytes, more than %d", len(token), tokenBytesMax)
	}
	// The decoder of base64 passes over line ends, RFC 7515 knows none.
	if strings.ContainsAny(token, "\r\n") {
		return Identity{}, fmt.Errorf("token: %w", jwt.ErrTokenMalformed)
	}
	options := []jwt.ParserOption{
		jwt.WithValidMethods(v.methods), jwt.WithLeeway(v.config.Leeway), jwt.WithExpirationRequired(),
		jwt.WithTimeFunc(func() time.Time { return now }), jwt.WithStrictDecoding(), jwt.WithJSONNumber(),
	}
	if v.config.Issuer != "" {
		options = append(options, jwt.WithIssuer(v.config.Issuer))
	}
	if v.config.Audience != "" {
		options = append(options, jwt.WithAudience(v.config.Audience))
	}
	claims := jwt.MapClaims{}
	if _, err := jwt.NewParser(options...).ParseWithClaims(token, claims, v.key); err != nil {
		return Identity{}, fmt.Errorf("token: %w", reason(err))
	}
	id, err := v.identity(claims)
	if err != nil {
		return Identity{}, fmt.Errorf("token: %w", err)
	}
	return id, nil
}

var (
	errExtension = errors.New("its header has crit: extensions are not known here")
	errNoKey     = errors.New("no key for its alg and kid")
)

// key finds what the signature may be checked with. It is called when alg is
// one of ours.
func (v *Verifier) key(t *jwt.Token) (any, error) {
	if _, has := t.Header["crit"]; has {
		return nil, errExtension // RFC 7515 section 4.1.11: it must be understood
	}
	raw, hasID := t.Header["kid"]
	id, isText := raw.(string)
	if hasID && !isText {
		return nil, errNoKey
	}
	var set jwt.VerificationKeySet
	for _, k := range v.keys.find(t.Method.Alg(), id, hasID) {
		set.Keys = append(set.Keys, k.material)
	}
	if len(set.Keys) == 0 {
		return nil, errNoKey
	}
	return set, nil
}

// reason leaves of the parser's error what was wrong, without what stood in
// the token.
func reason(err error) error {
	for _, one := range []error{
		errExtension, errNoKey, jwt.ErrTokenMalformed, jwt.ErrTokenSignatureInvalid, jwt.ErrTokenExpired,
		jwt.ErrTokenNotValidYet, jwt.ErrTokenInvalidIssuer, jwt.ErrTokenInvalidAudience,
		jwt.ErrTokenRequiredClaimMissing, jwt.ErrTokenUnverifiable, jwt.ErrTokenInvalidClaims,
	} {
		if errors.Is(err, one) {
			return one
		}
	}
	return errors.New("not valid")
}

// identity reads the claims of a token that is genuine and in time.
func (v *Verifier) identity(c jwt.MapClaims) (id Identity, err error) {
	for _, name := range []string{"exp", "nbf", "iat"} {
		if raw, has := c[name]; has {
			n, isNumber := raw.(json.Number)
			f, bad := n.Float64()
			// Beyond, the parser's arithmetic would go round.
			if !isNumber || bad != nil || math.Abs(f) > instantMax {
				return id, fmt.Errorf("claim %s is no time before the year 10000", name)
			}
		}
	}
	exp, err := c.GetExpirationTime()
	if err != nil || exp == nil {
		return id, jwt.ErrTokenRequiredClaimMissing
	}
	id.ExpiresAt = exp.Add(v.config.Leeway)
	if id.User, err = name(c, v.config.UserClaim); err != nil {
		return id, err
	}
	if id.User == "" {
		return id, fmt.Errorf("claim %.40q, the user name, is missing", v.config.UserClaim)
	}
	if v.config.ClientClaim != "" {
		if id.ClientID, err = name(c, v.config.ClientClaim); err != nil {
			return id, err
		}
	}
	if id.Publish, err = filters(c, "publ"); err != nil {
		return id, err
	}
	if id.Subscribe, err = filters(c, "subs"); err != nil {
		return id, err
	}
	_, publ := c["publ"]
	_, subs := c["subs"]
	id.Limited = publ || subs
	return id, nil
}

// name is a claim that MQTT could have as a string; empty where there is none.
func name(c jwt.MapClaims, claim string) (string, error) {
	raw, has := c[claim]
	if !has {
		return "", nil
	}
	s, isText := raw.(string)
	odd := func(r rune) bool { return unicode.IsControl(r) || r == utf8.RuneError }
	if !isText || s == "" || len(s) > nameBytesMax || strings.ContainsFunc(s, odd) {
		return "", fmt.Errorf("claim %.40q is no text of 1 to %d bytes without control characters", claim, nameBytesMax)
	}
	return s, nil
}

// filters is a claim with a list of filters.
func filters(c jwt.MapClaims, claim string) ([]string, error) {
	raw, has := c[claim]
	if !has {
		return nil, nil
	}
	list, isList := raw.([]any)
	if !isList || len(list) > filtersMax {
		return nil, fmt.Errorf("claim %s is no list of up to %d filters", claim, filtersMax)
	}
	all := make([]string, 0, len(list))
	for _, one := range list {
		f, isText := one.(string)
		if !isText || len(f) > math.MaxUint16 || topic.ValidateFilter([]byte(f)) != nil {
			return nil, fmt.Errorf("claim %s holds what is no filter", claim)
		}
		all = append(all, f)
	}
	return all, nil
}
