// Package mosquittodb reads the file in which Mosquitto keeps its state, mosquitto.db of the versions 2 to 6 (Mosquitto
// 1.0 to 2.1).
//
// Owner: nobody; it makes values of bytes.
// Imports: nothing of ours.
// Start with: Parse, which gives a File. All slices in it are views of the bytes that were given.
//
// The format: 15 bytes of magic, a checksum that is always 0, the version, and chunks of a type, a length and that many
// bytes. Numbers are big endian, but for identifiers of messages and times, which are as the machine has them: little
// endian is taken for granted. In the versions 5 and 6 the fixed fields of a chunk stand in a C struct with its gaps
// and texts come behind it; before, fields and texts with their lengths alternate.
//
// Caveats: a chunk may name messages and clients that are not there; it is for the caller to pass over them, as
// Mosquitto does. Nothing is validated beyond lengths.
package mosquittodb
