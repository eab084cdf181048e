// Package codec turns bytes into MQTT control packets and back.
//
// Owner: none; every function works on its arguments alone and may be called
// from any goroutine. Imports nothing of the project.
//
// Start with: Next (framing), Packet (one framed packet), and the Decode method
// and Append function of each packet type.
//
// Caveats: decoded packets are views into the buffer they were found in.
//
// No compatibility promise before v1.
package codec
