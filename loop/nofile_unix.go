//go:build linux || darwin || freebsd

package loop

import (
	"log/slog"

	"golang.org/x/sys/unix"
)

// raiseDescriptorLimit lifts the soft limit of open files to the hard one and returns what holds then. Every
// connection is a descriptor, and the usual soft limit of 1024 exists for programs that call select.
func raiseDescriptorLimit(log *slog.Logger) uint64 {
	var now unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &now); err != nil {
		log.Warn("descriptor limit unknown, assuming 1024", "error", err)
		return 1024
	}
	if now.Cur < now.Max {
		want := unix.Rlimit{Cur: now.Max, Max: now.Max}
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &want); err != nil {
			log.Warn("descriptor limit could not be raised", "soft", uint64(now.Cur), "hard", uint64(now.Max), "error", err)
			return uint64(now.Cur)
		}
		now = want
	}
	log.Info("descriptor limit", "descriptors", uint64(now.Cur))
	return uint64(now.Cur)
}
