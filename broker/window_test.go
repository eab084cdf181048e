package broker_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/loopmq/loopmq/broker"
	"github.com/loopmq/loopmq/loop"
	"github.com/loopmq/loopmq/router"
)

// TestQueueOnDiskIsNotInMemory: 200,000 messages of 1 KiB wait for a session
// that is away, before and after a start, in a few MiB. They come in order.
func TestQueueOnDiskIsNotInMemory(t *testing.T) {
	messages := 200_000
	if testing.Short() {
		messages = 20_000
	}
	const bound = 16 << 20 // index, stubs and counts are 6 MiB; buffers of the batches
	cfg := broker.Config{StateDir: filepath.Join(t.TempDir(), "state")}
	cfg.Limits = broker.Limits{QueuedMessagesMax: messages, QueuedBytesMax: 1 << 30, InflightMax: 1000}
	b, stop := run(t, cfg)
	s, p := dial(t, b, 0), dial(t, b, 0)
	expect(t, s, durable3+"\x82\x06\x00\x01\x00\x01t\x01", "\x20\x02\x00\x00\x90\x03\x00\x01\x01")
	s.Close()
	expect(t, p, clean3, "\x20\x02\x00\x00")
	before := heap()
	publishNumbers(t, p, messages)
	if grown := heap() - before; grown > bound {
		t.Errorf("%d messages take %d bytes of the heap", messages, grown)
	} else {
		t.Logf("%d messages: %d bytes", messages, grown)
	}
	wantQueued(t, b, messages)
	stop()
	before = heap()
	b, _ = run(t, cfg)
	if grown := heap() - before; grown > bound {
		t.Errorf("after a start %d messages take %d bytes of the heap", messages, grown)
	} else {
		t.Logf("after a start: %d bytes", grown)
	}
	wantQueued(t, b, messages)
	s = dial(t, b, 0)
	expect(t, s, durable3, "\x20\x02\x01\x00")
	takeNumbers(t, s, messages)
}

// heap is what is in use.
func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func wantQueued(t *testing.T, b *broker.Broker, messages int) {
	t.Helper()
	var st router.Stats
	err := b.Do(context.Background(), func(r *router.Router, _ *loop.Stats) { st = *r.Stats() })
	if err != nil || st.Queued != messages || st.QueuedBytes > 300<<10 {
		t.Errorf("%d wait, %d bytes in memory, %v", st.Queued, st.QueuedBytes, err)
	}
}

// publishNumbers sends messages of 1 KiB with QoS 1 that begin with their
// number, and waits until all are acknowledged.
func publishNumbers(t *testing.T, c net.Conn, messages int) {
	t.Helper()
	const window = 1000
	_ = c.SetDeadline(time.Now().Add(2 * time.Minute))
	acks := bufio.NewReader(c)
	frame := append([]byte("\x32\x85\x08\x00\x01t\x00\x00"), make([]byte, 1024)...)
	var batch, ack []byte = nil, make([]byte, 4)
	for first := 0; first < messages; first += window {
		batch = batch[:0]
		for i := range window {
			binary.BigEndian.PutUint16(frame[6:], uint16(i+1))
			binary.BigEndian.PutUint32(frame[8:], uint32(first+i))
			batch = append(batch, frame...)
		}
		if _, err := c.Write(batch); err != nil {
			t.Fatal(err)
		}
		for range window {
			if _, err := io.ReadFull(acks, ack); err != nil || ack[0] != 0x40 {
				t.Fatalf("got % x, %v; want PUBACK", ack, err)
			}
		}
	}
}

// takeNumbers receives and acknowledges them.
func takeNumbers(t *testing.T, c net.Conn, messages int) {
	t.Helper()
	in, out := bufio.NewReaderSize(c, 64<<10), bufio.NewWriter(c)
	_ = c.SetDeadline(time.Now().Add(2 * time.Minute))
	frame := make([]byte, 8+1024)
	for i := range messages {
		if _, err := io.ReadFull(in, frame); err != nil {
			t.Fatal(err)
		}
		if n := binary.BigEndian.Uint32(frame[8:]); frame[0] != 0x32 || n != uint32(i) {
			t.Fatalf("message %d with first byte %x, want %d", n, frame[0], i)
		}
		_, _ = out.Write([]byte{0x40, 2, frame[6], frame[7]})
		if in.Buffered() == 0 || i == messages-1 {
			if err := out.Flush(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestDamagedMessage: the disk spoils one of the messages that wait. The log says
// whose and where, and the others come.
func TestDamagedMessage(t *testing.T) {
	const messages, bad = 600, 400
	log, logger := newRecords()
	cfg := broker.Config{StateDir: filepath.Join(t.TempDir(), "state"), Log: logger}
	b, stop := run(t, cfg)
	s, p := dial(t, b, 0), dial(t, b, 0)
	expect(t, s, durable3+"\x82\x06\x00\x01\x00\x01t\x01", "\x20\x02\x00\x00\x90\x03\x00\x01\x01")
	s.Close()
	expect(t, p, clean3, "\x20\x02\x00\x00")
	for i := range messages {
		expect(t, p, fmt.Sprintf("\x32\x0d\x00\x01t\x00\x01number%02x", i&0xff), "\x40\x02\x00\x01")
		if i == bad {
			expect(t, p, "\x32\x0d\x00\x01t\x00\x01bad body", "\x40\x02\x00\x01")
		}
	}
	stop()
	b, _ = run(t, cfg)
	spoil(t, cfg.StateDir, "bad body")
	s = dial(t, b, 0)
	expect(t, s, durable3, "\x20\x02\x01\x00")
	for i := range messages {
		id := string([]byte{byte((i + 1) >> 8), byte(i + 1)})
		expect(t, s, "", fmt.Sprintf("\x32\x0d\x00\x01t%snumber%02x", id, i&0xff))
		expect(t, s, "\x40\x02"+id, "")
	}
	log.wait(t, "cannot be read from the disk", "client=s", "topic=t", "damaged at byte")
}

// spoil changes what stands in the files of dir.
func spoil(t *testing.T, dir, text string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		at := bytes.Index(data, []byte(text))
		if at < 0 {
			continue
		}
		found++
		f, err := os.OpenFile(name, os.O_WRONLY, 0)
		if err == nil {
			_, err = f.WriteAt([]byte("spoilt"), int64(at))
		}
		if err == nil {
			err = f.Close()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if found == 0 {
		t.Fatalf("%q is in none of the files", text)
	}
}
