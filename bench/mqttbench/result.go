package mqttbench

import (
	"math"
	"time"
)

// Result is what one client did. Times of messages are in milliseconds, the run
// time in seconds.
type Result struct {
	_ [0]func() // not to be compared, which would be program

	ID          int     `json:"id"`
	Successes   int64   `json:"successes"`
	Failures    int64   `json:"failures"`
	RunTime     float64 `json:"run_time"` // connecting and pauses included
	MsgTimeMin  float64 `json:"msg_time_min"`
	MsgTimeMax  float64 `json:"msg_time_max"`
	MsgTimeMean float64 `json:"msg_time_mean"`
	MsgTimeStd  float64 `json:"msg_time_std"` // of the sample; 0 of one message
	MsgsPerSec  float64 `json:"msgs_per_sec"` // Successes over RunTime
	Err         error   `json:"-"`            // the first failure
}

// Totals is what all clients did.
type Totals struct {
	Ratio           float64 `json:"ratio"` // successes among all messages
	Successes       int64   `json:"successes"`
	Failures        int64   `json:"failures"`
	TotalRunTime    float64 `json:"total_run_time"` // from the first start to the last end
	AvgRunTime      float64 `json:"avg_run_time"`
	MsgTimeMin      float64 `json:"msg_time_min"`
	MsgTimeMax      float64 `json:"msg_time_max"`
	MsgTimeMeanAvg  float64 `json:"msg_time_mean_avg"`  // the mean of the clients' means
	MsgTimeMeanStd  float64 `json:"msg_time_mean_std"`  // the deviation of the clients' means
	TotalMsgsPerSec float64 `json:"total_msgs_per_sec"` // the sum of the clients' rates
	AvgMsgsPerSec   float64 `json:"avg_msgs_per_sec"`
}

// Results is a whole measurement.
type Results struct {
	Runs   []Result   `json:"runs"` // in the order of their ids
	Totals Totals     `json:"totals"`
	Times  *Histogram `json:"-"` // of all messages
}

// Err is the first failure of the first client that has one.
func (r *Results) Err() error {
	for i := range r.Runs {
		if err := r.Runs[i].Err; err != nil {
			return err
		}
	}
	return nil
}

// sample gathers numbers one by one (Welford's method, which is exact enough
// without keeping them).
type sample struct {
	n                    int64
	least, most, mean, m float64
}

func (s *sample) add(x float64) {
	if s.n == 0 || x < s.least {
		s.least = x
	}
	if s.n == 0 || x > s.most {
		s.most = x
	}
	s.n++
	d := x - s.mean
	s.mean += d / float64(s.n)
	s.m += d * (x - s.mean)
}

// deviation is the sample's standard deviation, 0 for fewer than two.
func (s *sample) deviation() float64 {
	if s.n < 2 {
		return 0
	}
	return math.Sqrt(s.m / float64(s.n-1))
}

// close computes what follows from the counts and times.
func (r *Result) close(times *sample, ran time.Duration) {
	r.RunTime = ran.Seconds()
	r.MsgTimeMin, r.MsgTimeMax = times.least, times.most
	r.MsgTimeMean, r.MsgTimeStd = times.mean, times.deviation()
	if ran > 0 {
		r.MsgsPerSec = float64(r.Successes) / r.RunTime
	}
}

// totals sums the runs up. Clients without any success have no times to count.
func totals(runs []Result, ran time.Duration) Totals {
	t := Totals{TotalRunTime: ran.Seconds()}
	var runTimes, means sample
	for i := range runs {
		r := &runs[i]
		t.Successes += r.Successes
		t.Failures += r.Failures
		t.TotalMsgsPerSec += r.MsgsPerSec
		runTimes.add(r.RunTime)
		if r.Successes == 0 {
			continue
		}
		if means.n == 0 || r.MsgTimeMin < t.MsgTimeMin {
			t.MsgTimeMin = r.MsgTimeMin
		}
		t.MsgTimeMax = max(t.MsgTimeMax, r.MsgTimeMax)
		means.add(r.MsgTimeMean)
	}
	t.Ratio = ratio(t.Successes, t.Failures)
	t.AvgRunTime = runTimes.mean
	t.MsgTimeMeanAvg, t.MsgTimeMeanStd = means.mean, means.deviation()
	t.AvgMsgsPerSec = t.TotalMsgsPerSec / float64(len(runs))
	return t
}

func ratio(successes, failures int64) float64 {
	if successes == 0 {
		return 0
	}
	return float64(successes) / float64(successes+failures)
}
