package mqttbench

import (
	"math/bits"
	"time"
)

// Histogram counts times in buckets that grow with the time: 16 for each power
// of two of nanoseconds, so that a bucket is at most 6.25 % wide.
type Histogram struct {
	counts [64 * subBuckets]int64
	total  int64
}

const (
	subBits    = 4
	subBuckets = 1 << subBits
)

// bucket of a time: its highest bit and the four below it. Times below 16 ns
// have a bucket each.
func bucket(v uint64) int {
	if v < subBuckets {
		return int(v)
	}
	shift := bits.Len64(v) - 1 - subBits
	return (shift+1)*subBuckets + int(v>>shift)&(subBuckets-1)
}

// lowest is the least time of a bucket.
func lowest(bucket int) time.Duration {
	if bucket < subBuckets {
		return time.Duration(bucket)
	}
	shift := bucket/subBuckets - 1
	return time.Duration((subBuckets + bucket%subBuckets) << shift)
}

// Add counts one time; below 0 is 0.
func (h *Histogram) Add(d time.Duration) {
	h.counts[bucket(uint64(max(d, 0)))]++
	h.total++
}

// Merge adds what another has counted.
func (h *Histogram) Merge(o *Histogram) {
	for i, n := range o.counts {
		h.counts[i] += n
	}
	h.total += o.total
}

// Total is how many times were counted.
func (h *Histogram) Total() int64 { return h.total }

// Quantile is a time that the share q of all is not above, at most a bucket too
// large; 0 of nothing.
func (h *Histogram) Quantile(q float64) time.Duration {
	rank := int64(q*float64(h.total) + 0.5)
	rank = min(max(rank, 1), h.total)
	var seen int64
	for i, n := range h.counts {
		if seen += n; n > 0 && seen >= rank {
			return lowest(i + 1)
		}
	}
	return 0
}

// Each calls f for every bucket that is not empty, from the shortest time on.
func (h *Histogram) Each(f func(from, to time.Duration, count int64)) {
	for i, n := range h.counts {
		if n > 0 {
			f(lowest(i), lowest(i+1), n)
		}
	}
}
