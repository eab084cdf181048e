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
	File     string // one that is there already is renamed to FILE.old
	BytesMax int64  // at which the recording ends; 0: 256 MiB
	Redact   record.Redact
}

// recording is one in progress.
type recording struct {
	*record.Recorder
	file *record.File
}

// newRecording opens the file. Nobody else may read it: it holds what clients
// say.
func (b *Broker) newRecording(o *Recording, rc *router.Config) (*recording, error) {
	if err := os.Rename(o.File, o.File+".old"); err != nil && !os.IsNotExist(err) {
		return nil, fmt.Errorf("recording: %w", err)
	}
	f, err := record.Create(o.File)
	if err != nil {
		return nil, err
	}
	r := record.New(f, rc, record.Options{
		BytesMax: o.BytesMax, Redact: o.Redact, Started: b.made.UTC().Truncate(time.Second),
		Ended: func(why error) { b.logger().Warn("the recording has ended", "file", o.File, "error", why) },
	})
	return &recording{r, f}, nil
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

// endRecording writes what is left.
func (b *Broker) endRecording() {
	err := b.recording.Close()
	if closing := b.recording.file.Close(); err == nil {
		err = closing
	}
	if err != nil {
		b.logger().Error("the recording is not whole", "file", b.recording.file.Name(), "error", err)
	}
}
