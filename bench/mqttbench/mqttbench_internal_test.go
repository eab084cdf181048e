package mqttbench

import (
	"encoding/binary"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/loopmq/loopmq/client"
)

func TestHistogram(t *testing.T) {
	for i := range 60*subBuckets + 1 {
		from := lowest(i)
		if got := bucket(uint64(from)); got != i && from > 0 || i > 0 && bucket(uint64(from-1)) != i-1 {
			t.Fatalf("bucket %d begins at %d, which is in %d", i, from, got)
		}
		if from<<subBits < 0 {
			break
		}
	}
	var a, b Histogram
	for i := range 1000 {
		a.Add(time.Duration(i+1) * time.Microsecond)
		b.Add(time.Second)
	}
	if p := a.Quantile(0.5); p < 500*time.Microsecond || p > 535*time.Microsecond {
		t.Errorf("median %v", p)
	}
	a.Merge(&b)
	if p := a.Quantile(0.99); p < time.Second || p > 1070*time.Millisecond || a.Total() != 2000 {
		t.Errorf("p99 %v of %d", p, a.Total())
	}
	var none Histogram
	if none.Quantile(0.5) != 0 {
		t.Error("a quantile of nothing")
	}
}

func TestTotals(t *testing.T) {
	var s sample
	for _, x := range []float64{2, 4, 4, 4, 5, 5, 7, 9} {
		s.add(x)
	}
	if s.mean != 5 || math.Abs(s.deviation()-math.Sqrt(32.0/7)) > 1e-12 || s.least != 2 || s.most != 9 {
		t.Errorf("sample %+v, deviation %v", s, s.deviation())
	}
	got := totals([]Result{
		{Successes: 10, RunTime: 1, MsgTimeMin: 1, MsgTimeMax: 3, MsgTimeMean: 2, MsgsPerSec: 10},
		{Successes: 8, Failures: 2, RunTime: 3, MsgTimeMin: 2, MsgTimeMax: 9, MsgTimeMean: 4, MsgsPerSec: 20},
		{Failures: 10, RunTime: 2},
	}, 3*time.Second)
	want := Totals{
		Ratio: 0.6, Successes: 18, Failures: 12, TotalRunTime: 3, AvgRunTime: 2, MsgTimeMin: 1, MsgTimeMax: 9,
		MsgTimeMeanAvg: 3, MsgTimeMeanStd: math.Sqrt2, TotalMsgsPerSec: 30, AvgMsgsPerSec: 10,
	}
	if math.Abs(got.MsgTimeMeanStd-want.MsgTimeMeanStd) < 1e-12 {
		got.MsgTimeMeanStd = want.MsgTimeMeanStd
	}
	if got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// TestReceive: each message counts once, a gap is a loss, and what belongs to
// others is nothing.
func TestReceive(t *testing.T) {
	p := &pair{load: &Load{Config: Config{Size: headBytes}}, meter: new(Meter), base: time.Now(), tag: 7, ahead: make(chan struct{}, aheadMax)}
	for range 6 {
		p.ahead <- struct{}{}
	}
	message := func(tag, number uint64) *client.Message {
		m := &client.Message{Payload: binary.BigEndian.AppendUint64(nil, tag)}
		m.Payload = binary.BigEndian.AppendUint64(m.Payload, number)
		m.Payload = binary.BigEndian.AppendUint64(m.Payload, 0)
		return m
	}
	p.receive(&client.Message{Payload: []byte("short")})
	p.receive(message(8, 0))
	for _, number := range []uint64{0, 1, 1, 4, 3} {
		p.receive(message(7, number))
	}
	if p.delivered != 3 || p.repeated != 2 || p.next != 5 || len(p.ahead) != 1 || p.times.Total() != 3 || p.meter.Delivered.Load() != 3 {
		t.Errorf("%d delivered, %d repeated, %d expected, %d under way", p.delivered, p.repeated, p.next, len(p.ahead))
	}
}

func TestCheck(t *testing.T) {
	good := Config{Broker: ":1883", Clients: 1, Count: 1, Topic: "t", Wait: 1}
	for _, row := range []struct {
		change func(*Config)
		want   string
	}{
		{func(c *Config) {}, ""},
		{func(c *Config) { c.Broker = "localhost:1884" }, ""},
		{func(c *Config) { c.Broker = "gopher://x" }, "-broker: server"},
		{func(c *Config) { c.Clients = 0 }, "-clients 0: 1 to 100000"},
		{func(c *Config) { c.Count = -1 }, "-count -1: 1 to 1000000000"},
		{func(c *Config) { c.QoS = 3 }, "-qos 3: 0, 1 or 2"},
		{func(c *Config) { c.Topic = "a/#" }, "-topic"},
		{func(c *Config) { c.Password = "x" }, "-password without -username"},
		{func(c *Config) { c.Wait = 0 }, "-wait: more than 0"},
	} {
		c := good
		row.change(&c)
		err := c.Check()
		if (err == nil) != (row.want == "") || err != nil && !strings.Contains(err.Error(), row.want) {
			t.Errorf("got %v, want %q", err, row.want)
		}
	}
	if _, err := ReadTLS("", "cert", "", false); err == nil || err.Error() != "-client-cert without -client-key" {
		t.Errorf("%v", err)
	}
}

// TestPairCountsNoFurtherThanItSent: a number that somebody else made up costs no time.
func TestPairCountsNoFurtherThanItSent(t *testing.T) {
	p := &pair{load: &Load{Config: Config{Size: headBytes}}, meter: &Meter{}, tag: 7, ahead: make(chan struct{}, aheadMax)}
	p.ahead <- struct{}{}
	payload := make([]byte, headBytes)
	payload[7] = 7 // the tag
	for i := range 8 {
		payload[8+i] = 0xff
	}
	payload[15] = 0xfe
	done := make(chan struct{})
	go func() { p.receive(&client.Message{Payload: payload}); close(done) }()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Fatal("it counts and counts")
	}
	if len(p.ahead) != 0 || p.delivered != 1 {
		t.Errorf("%d under way, %d delivered", len(p.ahead), p.delivered)
	}
}
