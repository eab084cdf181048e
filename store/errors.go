package store

import (
	"errors"
	"fmt"
)

// What an owner decides on. They come wrapped with the place and the cause.
var (
	// ErrFull means no room: the batch is kept, will be committed with the
	// first one for which there is room, and must not be acknowledged yet.
	ErrFull = errors.New("store is full")
	// ErrFailed means that a write or a sync failed: nothing of the batch may be
	// acknowledged, and nothing is committed until the store is opened anew. A
	// sync repeated with success would prove nothing.
	ErrFailed = errors.New("store failed and is closed for writing")
	// ErrClosed means the store was closed.
	ErrClosed = errors.New("store is closed")
	// ErrNoStore means that a directory holds no store.
	ErrNoStore = errors.New("there is no store here")
	// ErrNotFound means that no live record has the key.
	ErrNotFound = errors.New("no such record")
)

// LockedError says that another process has the directory.
type LockedError struct {
	Dir    string
	Holder string // what the holder wrote about itself, "" if unknown
}

func (e *LockedError) Error() string {
	holder := e.Holder
	if holder == "" {
		holder = "another process"
	}
	return fmt.Sprintf("store %s is in use by %s", e.Dir, holder)
}

// VersionError says that a file is of a format newer than this program.
type VersionError struct {
	File    string
	Version uint32
}

func (e *VersionError) Error() string {
	return fmt.Sprintf("%s has format version %d, this program knows %d: it was written by a newer LoopMQ",
		e.File, e.Version, formatVersion)
}

// DamageError names a place where acknowledged data cannot be read.
type DamageError struct {
	File   string
	Offset int64
	What   string
}

func (e *DamageError) Error() string {
	return fmt.Sprintf("%s: damaged at byte %d: %s", e.File, e.Offset, e.What)
}
