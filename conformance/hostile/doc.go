// Package hostile sends a broker what it should never be sent: malformed packets, wrong frames, floods, storms and
// silence, several hundred rows of it, each with a name, the doors it knocks at, and what must become of its sender.
// Meanwhile a witness keeps talking to itself: nobody else may notice.
//
// `make hostile` runs all rows and prints figures: the witness's round trips, in quiet and under attack, and the memory
// of the broker. The ordinary run takes the rows that are done at once.
//
// Owner: the broker is a child process, this test binary again, so that its memory is its own. Imports: broker, in the
// tests. Start with: attack (one row), doors (where it knocks), witness, TestHostile.
// Caveats: no row fails because of a time, only because what must happen never does. Rows end in a close or in an
// answered PINGREQ, so that nothing is left to chance.
package hostile
