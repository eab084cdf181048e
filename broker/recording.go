package broker

import (
	"fmt"
	"os"
	"time"

	"github.com/loopmq/loopmq/broker/record"
	"github.com/loopmq/loopmq/router"
)

// Recording says where and how to write down what happens to the router; see
// package broker/record.
type Recording struct {
	File     string // one that is there already becomes FILE.old once the broker serves
	BytesMax int64  // at which the recording ends; 0: 256 MiB
	Redact   record.Redact
}

// recording is one in progress.
type recording struct {
	_ [0]func() // nobody compares two: no code for that

	*record.Recorder
	file *record.File
	name string // what it is called once the broker serves
}

// newRecording opens the file. Nobody else may read it: it holds what clients
// say. Until the broker serves it is FILE.new: a start that fails costs no earlier
// recording.
func (b *Broker) newRecording(o *Recording, rc *router.Config) (*recording, error) {
	if info, err := os.Stat(o.File); err == nil && !info.Mode().IsRegular() { // it would be renamed
		return nil, fmt.Errorf("recording: %s is there and is no file", o.File)
	}
	if err := os.Remove(o.File + ".new"); err != nil && !os.IsNotExist(err) {
		return nil, fmt.Errorf("recording: %w", err)
	}
	f, err := record.Create(o.File + ".new")
	if err != nil {
		return nil, err
	}
	r := record.New(f, rc, record.Options{
		BytesMax: o.BytesMax, Redact: o.Redact, Started: b.made.UTC().Truncate(time.Second),
		Ended: func(why error) { b.logger().Warn("the recording has ended", "file", o.File, "error", why) },
	})
	return &recording{Recorder: r, file: f, name: o.File}, nil
}

// keep gives the file its name, and the one before it that of an old one.
func (r *recording) keep() error {
	if err := os.Rename(r.name, r.name+".old"); err != nil && !os.IsNotExist(err) {
		return fmt.Errorf("recording: %w", err)
	}
	if err := os.Rename(r.name+".new", r.name); err != nil {
		return fmt.Errorf("recording: %w", err)
	}
	return nil
}

// hooks are the router's, written down.
func (r *recording) hooks(rt *router.Router) (begin func(now int64), stopping func()) {
	begin = func(now int64) {
		rt.BeginPass(now)
		r.BeginPass(now)
	}
	return begin, func() {
		rt.Stopping()
		r.Stopping()
	}
}

// serving is called when the listeners are open.
func (b *Broker) serving() {
	if b.recording == nil {
		return
	}
	if err := b.recording.keep(); err != nil {
		b.logger().Error("the recording stays in FILE.new", "file", b.recording.name, "error", err)
	}
}

// endRecording writes what is left; of a broker that never served nothing is.
func (b *Broker) endRecording() {
	err := b.recording.Close()
	if closing := b.recording.file.Close(); err == nil {
		err = closing
	}
	if err != nil {
		b.logger().Error("the recording is not whole", "file", b.recording.name, "error", err)
	}
	select {
	case <-b.ready:
	default:
		_ = os.Remove(b.recording.name + ".new")
	}
}
