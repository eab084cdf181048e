// Package password reads, checks and writes files of user names and password
// hashes, one `user:hash` a line, as Mosquitto has them.
//
// Read are argon2id (PHC strings, as Mosquitto 2.1 writes them too), bcrypt,
// Mosquitto's $7$ (PBKDF2-HMAC-SHA512) and $6$ (one round of SHA-512), and the
// PBKDF2$sha512$ of Home Assistant's add-on. Written is argon2id unless asked
// otherwise.
//
// Owner: whoever made a File. Verify may be called from many goroutines at
// once, as long as none edits. It costs tens of milliseconds and, with
// argon2id, 19 MiB: not on the loop, and not in more goroutines than there is
// memory for.
//
// Imports: nothing of the project.
//
// Start with: Parse, File.Verify, Hash.
//
// Caveats: an unknown user costs what most users of the file cost. In a file
// of mixed kinds the time still tells who has an unusual one.
//
// No compatibility promise before v1.
package password
