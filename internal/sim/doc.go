// Package sim runs the router against made-up clients, a made-up network and a
// made-up clock, and holds everything the router sends against a model of what
// the standard wants. One seed is one run, to the byte.
//
// Owner: one goroutine. Nothing here starts a goroutine, opens a socket, sleeps
// or reads the clock; randomness comes from the seed. In package tidy's words,
// it is pure.
//
// Imports: router, internal/buf, store for its Mem. Not codec: the encoder and decoder of wire.go
// are our own, so that codec's mistakes are not made twice.
//
// Start with: World (clock, event queue, the pass), conn (one connection: the
// router's seam on one side, a pipe with faults on the other), client (what a
// device does), model (who must receive what), Draw and Run (one seed), Shrink
// (a failing run made small).
//
// The model stands at the router's seam: it hears of each packet when the
// router is given it, and of each packet that the router sends when it is sent.
// So it needs no guess about what was on the way when something was cut off.
// Where the standard or the router's documentation leaves a choice (which
// member of a group, in which order retained messages come), the model watches
// what was chosen and checks that it was one of the choices.
//
// With a store (DrawDurable) each call of the router is a pass of its own, whose
// commit is complete before the model judges what was sent; and a restart makes
// a new Router of what the store has, beside the same model. With classes of
// durability (DrawClassed) there are no restarts: the model wants them to make no
// difference. Commits that take
// their time, fail, or are cut off are left to the tests of package router.
//
// No compatibility promise.
package sim
