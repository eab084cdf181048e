// Package broker joins the loop and the router to an MQTT broker, and is the
// face for programs that embed one.
//
// Owner: New, Run, Shutdown, Ready, Addrs and Do may be called from any
// goroutine. All broker state belongs to the loop goroutine inside Run; Do
// runs a function there.
//
// Imports: loop, router. Nothing below imports this package.
//
// Start with: Config (what to serve), Broker (one instance; several may run in
// one process).
package broker
