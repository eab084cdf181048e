// Package mosquitto reads the configuration of Eclipse Mosquitto, 2.0 and 2.1,
// and says the same in ours.
//
// Read knows every option by its name. What LoopMQ does otherwise or not at all
// becomes a Note with file and line. A note that Refuses is about something
// that would be unsafe to leave out: access would be granted that the file
// denies; such a configuration is not to be served.
//
// Where Mosquitto's default means something else than ours, the result says
// Mosquitto's: no listener is loopback with everybody welcome, a listener
// without allow_anonymous lets nobody in unnamed, sessions do not expire.
package mosquitto
