// Package guard slows down who tries passwords, and keeps out who is banned.
//
// Owner: the loop, or whoever made a Guard or Bans: nothing here may be used by
// two goroutines at once, but for looking at Bans that nobody changes any more.
// Time is an argument, nanoseconds of any clock that
// does not go back. Every table has a bound.
//
// Imports: nothing of the project.
//
// Start with: Guard.Begin and Guard.End around each check of a password,
// Bans.Find.
//
// Caveats: behind a proxy or a NAT many clients are one address. See
// Config.Exempt, and let the proxy say who they are.
//
// No compatibility promise before v1.
package guard
