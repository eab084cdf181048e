// Package callout asks a web service who a client is: an auth.Backend over
// HTTP.
//
// Owner: none; a Service may be asked by many goroutines at once.
// Imports: auth.
// Start with: New, Service.Check.
// Caveats: the service is on the way of every login that is not remembered; it
// answers in time or the client is told to come again.
//
// No compatibility promise before v1.
package callout
