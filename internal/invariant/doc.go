// Package invariant holds checks that cost nothing in a release build.
//
// They are on with the build tag invariant and under the race detector. Off, On is a false constant, so that
// `if invariant.On { … }` disappears from the binary.
//
// Owner: none; all it keeps is the number of timers that are set. Imports: nothing of ours. Start with: On, Check, Mangle, AfterFunc.
// Caveat: arguments of Check are evaluated in every build; put costly ones behind On.
package invariant
