package certs

import (
	"io/fs"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"
)

// fileInfo is what tells that a file is another one. The zero value stands for one that is not there.
type fileInfo struct {
	size    int64
	mode    fs.FileMode
	changed int64  // ns
	inode   uint64 // of files that are exchanged by renaming, which may keep size and time
}

// look notes what the files look like now.
func (s *Store) look() (all []fileInfo) {
	note := func(file string) {
		var info fileInfo
		if st, err := os.Stat(file); err == nil {
			info = fileInfo{size: st.Size(), mode: st.Mode(), changed: st.ModTime().UnixNano()}
			if sys, ok := st.Sys().(*syscall.Stat_t); ok {
				info.inode = uint64(sys.Ino)
			}
		}
		all = append(all, info)
	}
	for _, pair := range s.o.Pairs {
		note(pair.Certificate)
		note(pair.Key)
	}
	for _, files := range [][]string{s.o.ClientCAs, s.o.CRLs} {
		for _, file := range files {
			note(file)
		}
	}
	return all
}

// Watch looks at the files every few seconds and puts new ones in force, until stop is called, which waits for the end
// of the last look. It also changes the keys of session tickets, once a day.
func (s *Store) Watch() (stop func()) {
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(s.o.Every)
		defer tick.Stop()
		for {
			select {
			case <-end:
				return
			case <-tick.C:
				s.check()
			}
		}
	}()
	var once sync.Once
	return func() {
		once.Do(func() { close(end) })
		<-ended
	}
}

// check is one look. Files that have changed are read when they look the same twice: a certificate and its key are
// written one after the other, and do not belong together in between.
func (s *Store) check() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rotate()
	now := s.look()
	settled := slices.Equal(now, s.seen)
	s.seen = now
	if settled && !slices.Equal(now, s.tried) {
		s.swap()
	} else if s.o.Now().Sub(s.warnedAt) >= warnEvery {
		s.warn()
	}
}

// swap loads changed files, and says what came of it.
func (s *Store) swap() {
	err := s.load()
	switch {
	case err != nil && s.o.Failed != nil:
		s.o.Failed(err)
	case err == nil:
		if s.o.Swapped != nil {
			s.o.Swapped()
		}
		s.warn()
	}
}
