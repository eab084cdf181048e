// Package tidy holds the house rules that a compiler does not check, as a test
// over the parsed source of the whole module: who may import whom, what the
// deterministic packages may not call, who may start goroutines, how long
// files and functions may grow, and that what is exported is documented.
//
// Owner: nobody; there is no code here, only the test.
//
// Imports: the standard library.
//
// Start with: rules, the table of all rules; canaries, a bad source for each.
//
// A function or file that must be longer says why in a comment that starts
// with "tidy:long because". A package-level table of constants is marked by a
// comment that starts with "table:".
package tidy
