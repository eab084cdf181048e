// Command loopmq is an MQTT broker.
//
// This package holds flags and printing, nothing else.
package main
