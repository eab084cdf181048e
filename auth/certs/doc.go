// Package certs makes the TLS configuration of a listener from files, keeps it up to date while they change, and tells
// who a client certificate stands for.
//
// Owner: a Store may be used by all goroutines. Watch starts one of its own, which reads the files off the loop.
// Imports: nothing of the project.
// Start with: Options, Open, Store.Config (the configuration for one more connection), Store.Watch; Subject and
// CommonName.
// Caveats: connections keep the configuration that they began with; a certificate that is revoked or expires does not
// end those that are open.
package certs
