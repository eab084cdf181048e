// Command loopmq is the MQTT broker and its small clients.
//
// Imports: broker, client and auth/password. Each file is one command or a part that several
// share: usage.go (mistakes on the command line, times), connflags.go (how to connect), props.go (-D),
// format.go (-F), output.go (standard output).
package main
