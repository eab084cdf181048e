package broker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/loopmq/loopmq/auth"
	"github.com/loopmq/loopmq/auth/token"
)

// Tokens let clients in that show a JSON Web Token (RFC 7519) as their
// password, with any user name.
type Tokens struct {
	// Secret is a shared secret, Keys the file of public keys: PEM, or a JSON Web
	// Key Set. One of them is required.
	Secret, Keys string
	// Check says what a token must hold.
	Check token.Config
}

// tokens is the Backend of Tokens.
type tokens struct {
	name     string
	verifier *token.Verifier
}

// open reads the keys.
func (t *Tokens) open() (*tokens, error) {
	if (t.Secret == "") == (t.Keys == "") {
		return nil, errors.New("tokens: there must be a secret, or a file of public keys")
	}
	path, text, read := "a secret", []byte(t.Secret), token.Secret
	if t.Keys != "" {
		var err error
		if text, err = os.ReadFile(t.Keys); err != nil {
			return nil, fmt.Errorf("tokens: %w", err)
		}
		path, read = t.Keys, token.PEM
	}
	switch {
	case t.Secret != "":
	case bytes.HasPrefix(bytes.TrimSpace(text), []byte("{")):
		read = token.JWKS
	}
	keys, err := read(path, text)
	if err != nil {
		return nil, fmt.Errorf("tokens: %w", err)
	}
	v, err := token.New(keys, t.Check)
	if err != nil {
		return nil, fmt.Errorf("tokens: %w", err)
	}
	return &tokens{name: "tokens of " + path, verifier: v}, nil
}

// Name implements auth.Backend.
func (t *tokens) Name() string { return t.name }

// Check implements auth.Backend. What does not look like a token is somebody
// else's.
func (t *tokens) Check(_ context.Context, r *auth.Request) (auth.Answer, error) {
	if bytes.Count(r.Password, []byte(".")) != 2 || !bytes.HasPrefix(r.Password, []byte("ey")) {
		return auth.Answer{}, nil
	}
	id, err := t.verifier.Verify(strings.TrimSpace(string(r.Password)), time.Now())
	switch {
	case err != nil:
		return auth.Answer{Decision: auth.Deny, Why: err.Error()}, nil
	case id.ClientID != "" && id.ClientID != r.ClientID:
		return auth.Answer{Decision: auth.Deny, Why: "the token is for another client identifier"}, nil
	}
	return auth.Answer{
		Decision: auth.Allow, User: id.User, Lifetime: max(time.Until(id.ExpiresAt), time.Nanosecond),
		Limited: id.Limited, Publish: id.Publish, Subscribe: id.Subscribe,
	}, nil
}
