package broker

import (
	"context"
	"crypto/rand"
	"runtime"
	"sync"
	"time"
)

// Bounds of the login pool.
const (
	loginQueueMax    = 512              // logins that wait for a worker; further ones are told to come again
	loginWorkersMax  = 4                // each may need 19 MiB for a moment
	loginTimeout     = 10 * time.Second // for one login, all backends together
	loginsKnownMax   = 10_000           // right passwords that are remembered, 32 bytes each
	processorsPerJob = 2                // so that hashing leaves the loop its processor
)

// loginPool checks logins on goroutines of its own: a password hash takes tens
// of milliseconds, a call over the network longer.
//
// Owner: the loop, but for run.
type loginPool struct {
	jobs     chan *loginJob
	complete func(func())
	secret   [32]byte
	known    map[loginKey]struct{}
	refused  uint64

	cancel  context.CancelFunc
	workers sync.WaitGroup
}

func newLoginPool() *loginPool {
	p := &loginPool{jobs: make(chan *loginJob, loginQueueMax), known: make(map[loginKey]struct{})}
	if _, err := rand.Read(p.secret[:]); err != nil {
		panic("no random numbers from the system: " + err.Error())
	}
	return p
}

// start begins to work; complete brings results back to the loop.
func (p *loginPool) start(complete func(func())) {
	p.complete = complete
	ctx, cancel := context.WithCancel(context.Background())
	p.cancel = cancel
	for range max(1, min(loginWorkersMax, runtime.NumCPU()/processorsPerJob)) {
		p.workers.Go(func() { p.run(ctx) })
	}
}

// run works until the pool is stopped.
func (p *loginPool) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case job := <-p.jobs:
			limited, cancel := context.WithTimeout(ctx, loginTimeout)
			job.run(limited)
			cancel()
			p.complete(job.done)
		}
	}
}

// stop ends the workers. Who still waits has no connection any more.
func (p *loginPool) stop() {
	p.cancel()
	p.workers.Wait()
}

// submit hands a job over. False: too many wait.
func (p *loginPool) submit(job *loginJob) bool {
	select {
	case p.jobs <- job:
		return true
	default:
		return false
	}
}

// knows tells whether this was found right before.
func (p *loginPool) knows(k loginKey) bool {
	_, ok := p.known[k]
	return ok
}

// learn remembers what was found right. When there is no room somebody is
// forgotten, and will be looked at again.
func (p *loginPool) learn(k loginKey) {
	if len(p.known) >= loginsKnownMax {
		for other := range p.known {
			delete(p.known, other)
			break
		}
	}
	p.known[k] = struct{}{}
}

// forget drops all that was learnt: the users have changed.
func (p *loginPool) forget() { clear(p.known) }
