//go:build !linux

package hostile

func lowly() string  { return "that of the broker" }
func prompt() string { return "that of the broker" }

// descriptors is a guess.
func descriptors() int { return 1024 }
