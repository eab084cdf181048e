//go:build !linux && !darwin && !freebsd

package loop

// kinds lists the engines of this platform: none. evio v1.0.8 builds on Linux, macOS and FreeBSD only.
func kinds() []engineKind { return nil }
