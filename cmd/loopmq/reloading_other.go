//go:build !linux

package main

import "github.com/coreos/go-systemd/v22/daemon"

// reloading is what a service manager would be told.
func reloading() string { return daemon.SdNotifyReloading }
