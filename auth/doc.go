// Package auth has what the ways to find out who a client is have in common:
// Backend, which those who embed the broker implement too. The ways themselves
// are in the packages below.
//
// Owner: none.
// Imports: nothing of the project.
// Start with: Backend.
//
// No compatibility promise before v1.
package auth
