//go:build !linux

package main

// forgetProgram does nothing where there is no need or no way.
func forgetProgram() {}
