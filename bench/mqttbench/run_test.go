package mqttbench_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/loopmq/loopmq/bench/mqttbench"
	"github.com/loopmq/loopmq/broker"
	"github.com/loopmq/loopmq/client"
	"github.com/loopmq/loopmq/codec"
	"github.com/loopmq/loopmq/internal/testkit"
)

const patience = 20 * time.Second

// startBroker serves in this process until the test ends, and returns its URL.
func startBroker(t *testing.T) string {
	t.Helper()
	b, err := broker.New(broker.Config{Listeners: []broker.Listener{{URL: "mqtt://127.0.0.1:0"}}})
	if err != nil {
		t.Fatal(err)
	}
	testkit.Serve(t, b)
	return "tcp://" + b.Addrs()[0].String()
}

func config(url string) mqttbench.Config {
	return mqttbench.Config{
		Broker: url, Clients: 3, Count: 20, Size: 10, QoS: 1, Topic: "/test",
		ClientPrefix: "b", Wait: patience,
	}
}

// TestRun publishes with each QoS and counts at a subscriber.
func TestRun(t *testing.T) {
	url := startBroker(t)
	for qos := range byte(3) {
		t.Run(fmt.Sprint("qos", qos), func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			c := config(url)
			c.QoS, c.Topic = qos, fmt.Sprint("run/", qos)
			got := make(chan *client.Message, c.Clients*c.Count)
			sub, err := client.Dial(ctx, client.Options{URL: url, ClientID: fmt.Sprint("sub", qos), CleanStart: true, OnMessage: func(m *client.Message) bool {
				got <- m
				return true
			}})
			if err != nil {
				t.Fatal(err)
			}
			defer sub.Abort()
			if _, err := sub.Subscribe(ctx, codec.Filter{Name: []byte(c.Topic), QoS: qos}); err != nil {
				t.Fatal(err)
			}
			if err := c.Check(); err != nil {
				t.Fatal(err)
			}
			var m mqttbench.Meter
			r := mqttbench.Run(ctx, &c, &m)
			if err := r.Err(); err != nil {
				t.Fatal(err)
			}
			for range c.Clients * c.Count {
				select {
				case msg := <-got:
					if !bytes.Equal(msg.Payload, make([]byte, 10)) || msg.QoS != qos {
						t.Fatalf("got %d bytes with QoS %d", len(msg.Payload), msg.QoS)
					}
				case <-ctx.Done():
					t.Fatal("messages are missing")
				}
			}
			if r.Totals.Successes != 60 || r.Totals.Failures != 0 || r.Totals.Ratio != 1 || r.Times.Total() != 60 {
				t.Errorf("totals %+v, %d times", r.Totals, r.Times.Total())
			}
			if m.Done.Load() != 60 || m.Connected.Load() != 3 || m.BytesOut.Load() < 60*(10+4) || m.BytesIn.Load() < 3*4 {
				t.Errorf("meter: %d done, %d bytes out, %d in", m.Done.Load(), m.BytesOut.Load(), m.BytesIn.Load())
			}
		})
	}
}

// TestShape compares text and JSON with the tool's, values aside.
func TestShape(t *testing.T) {
	c := config(startBroker(t))
	c.Clients, c.Count = 1, 2
	r := mqttbench.Run(t.Context(), &c, new(mqttbench.Meter))
	var text, doc bytes.Buffer
	if err := r.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	const want = `======= CLIENT 0 =======
Ratio:               1.000 (2/2)
Runtime (s):         N
Msg time min (ms):   N
Msg time max (ms):   N
Msg time mean (ms):  N
Msg time std (ms):   N
Bandwidth (msg/sec): N

========= TOTAL (1) =========
Total Ratio:                 1.000 (2/2)
Total Runtime (sec):         N
Average Runtime (sec):       N
Msg time min (ms):           N
Msg time max (ms):           N
Msg time mean mean (ms):     N
Msg time mean std (ms):      N
Average Bandwidth (msg/sec): N
Total Bandwidth (msg/sec):   N
`
	if got := regexp.MustCompile(`(?m)\d+\.\d{3}$`).ReplaceAllString(text.String(), "N"); got != want {
		t.Errorf("text:\n%s", got)
	}
	if err := r.WriteJSON(&doc); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(doc.String(), "{\n\t\"runs\": [\n\t\t{\n\t\t\t\"id\": 0,\n\t\t\t\"successes\": 2,") {
		t.Errorf("JSON:\n%s", doc.String())
	}
	var v struct {
		Runs   []map[string]float64 `json:"runs"`
		Totals map[string]float64   `json:"totals"`
	}
	d := json.NewDecoder(&doc)
	d.DisallowUnknownFields()
	if err := d.Decode(&v); err != nil {
		t.Fatal(err)
	}
	fields(t, v.Runs[0], "id successes failures run_time msg_time_min msg_time_max msg_time_mean msg_time_std msgs_per_sec")
	fields(t, v.Totals, "ratio successes failures total_run_time avg_run_time msg_time_min msg_time_max"+
		" msg_time_mean_avg msg_time_mean_std total_msgs_per_sec avg_msgs_per_sec")
}

func fields(t *testing.T, got map[string]float64, want string) {
	t.Helper()
	names := strings.Fields(want)
	for _, name := range names {
		if _, ok := got[name]; !ok {
			t.Errorf("%s is missing in %v", name, got)
		}
	}
	if len(got) != len(names) {
		t.Errorf("%d fields, want %d: %v", len(got), len(names), got)
	}
}

// TestInterval: messages leave an interval apart, and the run time has a pause
// behind the last one.
func TestInterval(t *testing.T) {
	c := config(startBroker(t))
	c.Clients, c.Count, c.Interval, c.Payload = 1, 3, 50*time.Millisecond, []byte("hello")
	r := mqttbench.Run(t.Context(), &c, new(mqttbench.Meter))
	if r.Err() != nil || r.Runs[0].RunTime < 0.150 {
		t.Errorf("ran %v s: %v", r.Runs[0].RunTime, r.Err())
	}
}

// TestNobodyThere: who cannot connect fails at once, with all its messages.
func TestNobodyThere(t *testing.T) {
	c := config(testkit.FreeAddr(t))
	if err := c.Check(); err != nil {
		t.Fatal(err)
	}
	var m mqttbench.Meter
	r := mqttbench.Run(t.Context(), &c, &m)
	if r.Totals.Failures != 60 || m.Failed.Load() != 60 || r.Totals.Ratio != 0 || r.Err() == nil {
		t.Errorf("totals %+v, %v", r.Totals, r.Err())
	}
	if err := r.WriteJSON(new(bytes.Buffer)); err != nil {
		t.Errorf("JSON of nothing: %v", err)
	}
}

// silentServer accepts one client, answers its CONNECT, and then only reads. It
// closes the connection after so many bytes; 0: never.
func silentServer(t *testing.T, most int64) (url string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		head := make([]byte, 2)
		if _, err := io.ReadFull(conn, head); err == nil {
			_, _ = conn.Write([]byte{0x20, 2, 0, 0})
		}
		if most > 0 {
			_, _ = io.CopyN(io.Discard, conn, most)
			return
		}
		_, _ = io.Copy(io.Discard, conn)
	}()
	return "tcp://" + l.Addr().String()
}

// TestWait: a server that never acknowledges costs -wait for each message.
func TestWait(t *testing.T) {
	c := config(silentServer(t, 0))
	c.Clients, c.Count, c.Wait = 1, 2, 30*time.Millisecond
	r := mqttbench.Run(t.Context(), &c, new(mqttbench.Meter))
	if r.Totals.Failures != 2 || r.Err() == nil || !strings.Contains(r.Err().Error(), "-wait") {
		t.Errorf("totals %+v, %v", r.Totals, r.Err())
	}
}

// TestPauseLongerThanWait: -wait is for messages, not for the pauses between.
func TestPauseLongerThanWait(t *testing.T) {
	c := config(startBroker(t))
	c.Clients, c.Count, c.Wait, c.Interval = 1, 2, 300*time.Millisecond, 700*time.Millisecond
	r := mqttbench.Run(t.Context(), &c, new(mqttbench.Meter))
	if r.Totals.Successes != 2 || r.Err() != nil {
		t.Errorf("totals %+v, %v", r.Totals, r.Err())
	}
}

// TestNobodyConfirms: messages of QoS 0 that a server may not have read are no
// successes, whether it closes the connection or says nothing.
func TestNobodyConfirms(t *testing.T) {
	for _, most := range []int64{0, 1000} {
		c := config(silentServer(t, most))
		c.Clients, c.Count, c.QoS, c.Wait = 1, 500, 0, 200*time.Millisecond
		var m mqttbench.Meter
		r := mqttbench.Run(t.Context(), &c, &m)
		if r.Totals.Successes != 0 || r.Totals.Failures != 500 || r.Err() == nil || m.Done.Load() != 0 || m.Failed.Load() != 500 {
			t.Errorf("closed after %d bytes: %+v, %v", most, r.Totals, r.Err())
		}
		if r.Totals.MsgTimeMax != 0 || r.Times.Total() != 0 {
			t.Errorf("times of nothing: %+v", r.Totals)
		}
	}
}
