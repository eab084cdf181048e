package main

import (
	"path/filepath"
	"strings"
	"syscall"

	"github.com/loopmq/loopmq/config"
)

// systemStateDir is where root keeps the state if it has been made for that.
const systemStateDir = "/var/lib/loopmq"

const writeAndSearch = 2 | 1 // W_OK and X_OK of access(2)

// findState says where the state is kept, and finds it where nobody has said so.
func (s *settings) findState(getenv func(string) string, root bool) {
	why := ""
	if s.file.StateDir == config.StateDirAuto {
		s.broker.StateDir, why = autoStateDir(getenv, root, systemStateDir)
	}
	switch dir := s.broker.StateDir; {
	case dir == "":
		s.state = "in memory only"
	case why != "":
		s.state = dir + " (" + why + ")"
	default:
		s.state = dir
	}
}

// autoStateDir is the directory that systemd has made for the service, or that
// of the system for root; "" if there is neither.
func autoStateDir(getenv func(string) string, root bool, system string) (dir, why string) {
	first, _, _ := strings.Cut(getenv("STATE_DIRECTORY"), ":")
	if filepath.IsAbs(first) {
		return first, "STATE_DIRECTORY"
	}
	if root && syscall.Access(system, writeAndSearch) == nil {
		return system, "it is there; --state-dir none turns it off"
	}
	return "", ""
}
