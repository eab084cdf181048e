//go:build !linux

package store

import (
	"errors"
	"os"
)

const directFlag = 0

// dataSync flushes to the medium; on Darwin Sync asks for F_FULLFSYNC.
func dataSync(f *os.File) error { return f.Sync() }

func reserve(*os.File, int64) error { return errors.ErrUnsupported }

func readAhead(*os.File) {}

func alignedBuffer(n int) []byte { return make([]byte, n) }

func freeBuffer([]byte) {}

func fileSystemBytes(string) int64 { return 0 }
