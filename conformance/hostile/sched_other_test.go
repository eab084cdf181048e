//go:build !linux

package hostile

import (
	"io"
	"time"
)

func lowly() string  { return "that of the broker" }
func prompt() string { return "that of the broker" }

func lostPackets() uint64 { return 0 }
func above()              {}

// doze is the pace of the witness; nobody is waited for.
func doze(d time.Duration) { time.Sleep(d) }

func dialWaiting(addr string) (io.ReadWriter, error) { return dialTCP(addr) }

// descriptors is a guess.
func descriptors() int { return 1024 }
