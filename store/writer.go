package store

import "time"

// job is a sealed batch on its way to the writer.
type job struct {
	batch sealed
	done  func(error)
}

// readJob is a Read on its way to the reader.
type readJob struct {
	keys []Key
	done func([]Value)
}

// startWriter starts the two goroutines of a store. Nothing ticks in them: the
// writer sleeps until a batch is sealed, or goes on cleaning while that is what
// makes room in a store that is full.
func (s *Store) startWriter() {
	go s.write()
	go s.read()
}

// lookAgain is how long a full store that is written to goes without looking for
// room.
const lookAgain = time.Second

func (s *Store) write() {
	defer func() { s.ended <- struct{}{} }()
	j, ok := <-s.jobs // until then the log belongs to Load
	for ok {
		s.commit(j)
		s.wal.maintain()
		s.held.Store(s.wal.holdings())
		j, ok = s.nextJob()
	}
}

// nextJob waits for a sealed batch, and cleans meanwhile if there is need.
func (s *Store) nextJob() (j job, ok bool) {
	for s.wal.short != nil && s.wal.failed == nil && s.wal.wantsCleaning() {
		select {
		case j, ok = <-s.jobs:
			return j, ok
		default:
		}
		before := s.wal.stats.commits.Load()
		s.wal.makeRoom()
		s.wal.maintain()
		s.held.Store(s.wal.holdings())
		if s.wal.stats.commits.Load() == before {
			break // it cannot go on
		}
	}
	j, ok = <-s.jobs
	return j, ok
}

func (s *Store) commit(j job) {
	start := time.Now()
	if j.batch.bytes == 0 || start.Sub(s.looked) >= lookAgain {
		s.wal.pause, s.looked = 0, start // somebody wants to know whether there is room again
	}
	if j.batch.bytes == 0 {
		s.wal.maintain()
	}
	s.wal.stats.put.Add(uint64(j.batch.bytes))
	err := s.wal.commitOpen(&j.batch)
	if err == nil {
		s.wal.stats.took(time.Since(start))
	}
	s.held.Store(s.wal.holdings())
	s.conf.Post(func() { s.committed(j.batch, err, j.done) })
}

func (s *Store) read() {
	defer func() { s.ended <- struct{}{} }()
	for j := range s.reads {
		values := make([]Value, len(j.keys))
		for i, k := range j.keys {
			v, err := s.wal.value(k)
			if err != nil {
				err = explain(k, err)
				s.wal.stats.readErrors.Add(1)
			}
			values[i] = Value{k, v, err}
		}
		s.wal.stats.reads.Add(uint64(len(values)))
		s.conf.Post(func() { j.done(values) })
	}
}
