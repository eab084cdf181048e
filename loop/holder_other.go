//go:build !linux

package loop

// holderOf cannot tell here which process holds a port.
func holderOf(string) string { return " by another process" }
