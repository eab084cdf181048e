package mqttbench

import "time"

// Sample is what a Meter and the broker's process said at one moment.
type Sample struct {
	At                      time.Duration // since Watch began
	Connected, Done, Failed int64
	Delivered               int64
	BytesIn, BytesOut       int64 // as the clients see it
	Process                 Process
	ProcessKnown            bool
}

// SampleEvery is the usual time between two samples.
const SampleEvery = 250 * time.Millisecond

// Watcher takes samples until it is stopped.
type Watcher struct {
	meter   *Meter
	pid     int // 0: not known
	began   time.Time
	each    func(Sample)
	samples []Sample
	stop    chan struct{}
	stopped chan struct{}
}

// Watch takes a sample now, one each time every is over, and one at the end. pid
// is the broker's process, 0 if it is not known. each, if not nil, is called
// with every sample.
func Watch(m *Meter, pid int, every time.Duration, each func(Sample)) *Watcher {
	w := &Watcher{
		meter: m, pid: pid, began: time.Now(), each: each,
		stop: make(chan struct{}), stopped: make(chan struct{}),
	}
	w.take()
	go w.run(every)
	return w
}

func (w *Watcher) run(every time.Duration) {
	defer close(w.stopped)
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			w.take()
		case <-w.stop:
			w.take()
			return
		}
	}
}

func (w *Watcher) take() {
	m := w.meter
	s := Sample{
		At: time.Since(w.began), Connected: m.Connected.Load(), Done: m.Done.Load(), Failed: m.Failed.Load(),
		Delivered: m.Delivered.Load(), BytesIn: m.BytesIn.Load(), BytesOut: m.BytesOut.Load(),
	}
	if w.pid != 0 {
		p, err := ReadProcess(w.pid)
		s.Process, s.ProcessKnown = p, err == nil
	}
	w.samples = append(w.samples, s)
	if w.each != nil {
		w.each(s)
	}
}

// Stop takes the last sample and returns all of them, the oldest first.
func (w *Watcher) Stop() []Sample {
	close(w.stop)
	<-w.stopped
	return w.samples
}
