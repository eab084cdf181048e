// Package scram is SCRAM-SHA-256 (RFC 5802, 7677) as a method of enhanced
// authentication, which MQTT 5.0 leaves to the server (section 4.12).
//
// Owner: none; a Server may be shared, a Conversation belongs to one
// connection and is used on the loop, so nothing here blocks.
//
// Imports: nothing of the project. The arithmetic of RFC 5802 is
// github.com/xdg-go/scram's.
//
// Start with: Server, Credentials.
//
// Caveats: what is kept of a user (Credentials) is not his password, but who
// has it can try passwords against it.
// The broker's delays after failed logins (auth/guard) do not hold for these
// conversations: each guess costs the client a derivation, us next to nothing.
//
// No compatibility promise before v1.
package scram
