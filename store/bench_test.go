package store

import (
	"fmt"
	"testing"
)

// BenchmarkFlow is a broker at work: messages of 256 bytes and a topic of 20
// are put, with a queue entry each, committed, and deleted with the next batch.
// The directory for temporary files has to be on the disk that is meant.
func BenchmarkFlow(b *testing.B) {
	for _, flight := range []int{1, 16, 256, 4096} {
		b.Run(fmt.Sprintf("flight=%d", flight), func(b *testing.B) {
			s, o := open(b, b.TempDir(), Options{})
			defer s.Close()
			topic, payload, entry := make([]byte, 20), make([]byte, 256), make([]byte, 24)
			n, first := uint64(0), uint64(0)
			for b.Loop() {
				for ; first < n; first++ {
					s.Delete(KeyOf(Cold, first))
					s.Delete(KeyOf(1, first))
				}
				for range flight {
					s.Put(KeyOf(Cold, n), topic, payload)
					s.Put(KeyOf(1, n), entry, nil)
					n++
				}
				if err := o.commit(s); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "msg/s")
			b.ReportMetric(float64(s.Stats().BytesWritten)/float64(n)/276, "written/byte")
		})
	}
}

// BenchmarkPut is what a record costs the loop.
func BenchmarkPut(b *testing.B) {
	m := NewMem()
	head, body := make([]byte, 40), make([]byte, 256)
	for i := 0; b.Loop(); i++ {
		m.Put(Key(i), head, body)
		if m.Pending() > 1<<20 {
			m.open.take(m.open.sealed)
		}
	}
}
