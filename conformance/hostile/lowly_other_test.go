//go:build !linux

package hostile

func lowly() string { return "that of the broker" }
