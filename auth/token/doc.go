// Package token reads JSON Web Tokens (RFC 7519) that clients show instead of
// a password, and the keys that they must be signed with.
//
// Owner: none; Keys and a Verifier do not change and may be shared. Verify
// takes tens of microseconds, some hundred where many keys have to be tried.
//
// Imports: router/topic, to judge filters in claims. Signatures are checked by
// github.com/golang-jwt/jwt.
//
// Start with: Secret, PEM, JWKS, New, Verifier.Verify.
//
// Caveats: each key has the algorithms that belong to its kind, and a token is
// checked with those only; what a token's header says beyond alg and kid is not
// looked at. Fetching a key set from somewhere is the caller's.
//
// No compatibility promise before v1.
package token
