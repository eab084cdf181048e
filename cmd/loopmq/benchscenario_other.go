//go:build !linux

package main

import "github.com/urfave/cli/v2"

// scenarioCommands: package bench needs epoll and /proc.
func scenarioCommands() []*cli.Command { return nil }
