package main

import (
	"io"
	"sync"
)

// outputBytesMax is how much printed text may wait before the reader of
// messages waits too.
const outputBytesMax = 1 << 20

// output writes to a slow file from a goroutine of its own: many messages go
// out in one write, and none waits for the next one to come.
type output struct {
	to io.Writer

	mu   sync.Mutex
	more *sync.Cond
	buf  []byte
	shut bool
	err  error
	done chan struct{}
}

func newOutput(to io.Writer) *output {
	o := &output{to: to, done: make(chan struct{})}
	o.more = sync.NewCond(&o.mu)
	go o.run()
	return o
}

// add appends what f makes. It waits while too much is waiting; the error is
// of an earlier write.
func (o *output) add(f func(dst []byte) []byte) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	for len(o.buf) > outputBytesMax && o.err == nil {
		o.more.Wait()
	}
	if o.err == nil {
		o.buf = f(o.buf)
		o.more.Broadcast()
	}
	return o.err
}

// close writes what is left.
func (o *output) close() error {
	o.mu.Lock()
	o.shut = true
	o.more.Broadcast()
	o.mu.Unlock()
	<-o.done
	return o.err
}

func (o *output) run() {
	defer close(o.done)
	var spare []byte
	o.mu.Lock()
	defer o.mu.Unlock()
	for {
		for len(o.buf) == 0 && !o.shut {
			o.more.Wait()
		}
		if len(o.buf) == 0 || o.err != nil {
			return
		}
		buf := o.buf
		o.buf = spare[:0]
		o.mu.Unlock()
		_, err := o.to.Write(buf)
		o.mu.Lock()
		spare = buf
		o.err = err
		o.more.Broadcast()
	}
}
