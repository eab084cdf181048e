// Package hostile sends a broker what it should never be sent: malformed packets, wrong frames, floods, storms and
// silence, several hundred rows of it, each with a name, the doors it knocks at, and what must become of its sender.
// Meanwhile a witness keeps talking to itself: nobody else may notice.
//
// `make hostile` runs all rows and prints figures: the witness's round trips, in quiet (before, between and after the
// groups of rows) and under attack, the rows in which it fared worst, and the memory of the broker. The ordinary run
// takes the rows that are done at once.
//
// Owner: broker and witness are child processes, this test binary again: the broker's memory is its own, and the witness
// competes with nobody. The attackers have the lowest priority, the witness the highest, see lowly, above and prompt.
// Imports: broker and conformance/child, in the tests.
// Start with: attack (one row), doors (where it knocks), witness, span (which round trip belongs to whom), TestHostile.
// Caveats: no row fails because of a time, only because what must happen never does. Rows end in a close or in an
// answered PINGREQ, so that nothing is left to chance.
package hostile
