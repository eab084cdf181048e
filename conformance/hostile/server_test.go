package hostile

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/loopmq/loopmq/broker"
)

// serverEnv tells the test binary to be the broker.
const serverEnv = "LOOPMQ_TEST_HOSTILE_SERVER"

func TestMain(m *testing.M) {
	if os.Getenv(serverEnv) != "" {
		if err := serve(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// limits are small where a row has to reach them.
func limits() broker.Limits {
	return broker.Limits{
		ConnectTimeout: 2 * time.Second, SlowTimeout: 2 * time.Second,
		RetainedMessagesMax: 20_000, RetainedBytesMax: 16 << 20, SessionsMax: 2_000,
	}
}

// held is what the broker holds.
type held struct {
	Clients, Sessions, Subscriptions, Retained, Queued, Inflight int
	Conns                                                        uint64
	PoolInUse                                                    int64 `json:",omitempty"`
	Goroutines                                                   int
	HeapBytes                                                    uint64
	Invariants                                                   string
}

// serve is the broker's process. Each line that comes in is a question, answered by a line of JSON; the end of them is
// the end.
func serve() error {
	var listeners []broker.Listener
	for _, d := range doors {
		listeners = append(listeners, broker.Listener{URL: d.listen})
	}
	b, err := broker.New(broker.Config{Listeners: listeners, Limits: limits(), ShutdownTimeout: time.Millisecond})
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- b.Run(context.Background()) }()
	select {
	case err := <-ended:
		return err
	case <-b.Ready():
	}
	for _, a := range b.Addrs() {
		fmt.Println(a)
	}
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		debug.FreeOSMemory()
		h, err := holdings(b.Do)
		if err != nil {
			return err
		}
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		h.HeapBytes, h.Goroutines = m.HeapAlloc, runtime.NumGoroutine()
		if err := json.NewEncoder(os.Stdout).Encode(h); err != nil {
			return err
		}
	}
	b.Shutdown()
	return <-ended
}

// server is the broker's process, seen from outside.
type server struct {
	t     *testing.T
	pid   int
	addrs []string // by door
	mu    sync.Mutex
	ask   *os.File
	lines *bufio.Scanner
	doing map[string]bool // rows in progress
	peak  int64           // bytes resident, the most that was seen
}

func startServer(t *testing.T) *server {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), serverEnv+"=1")
	cmd.Stderr = os.Stderr
	in, ask, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdin = in
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	in.Close()
	t.Cleanup(func() {
		ask.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("broker: %v", err)
		}
	})
	s := &server{t: t, pid: cmd.Process.Pid, ask: ask, lines: bufio.NewScanner(out), doing: map[string]bool{}}
	for range doors {
		if !s.lines.Scan() {
			t.Fatal("the broker did not start")
		}
		s.addrs = append(s.addrs, s.lines.Text())
	}
	return s
}

// holds asks the broker.
func (s *server) holds() (h held) {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := s.ask.WriteString("?\n"); err != nil {
		s.t.Fatal("the broker is gone:", err)
	}
	if !s.lines.Scan() {
		s.t.Fatal("the broker is gone")
	}
	if err := json.Unmarshal(s.lines.Bytes(), &h); err != nil {
		s.t.Fatal(err)
	}
	return h
}

// resident returns the memory of the broker's process, in bytes.
func (s *server) resident() int64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(text), "VmRSS:")
	kb, _ := strconv.ParseInt(strings.Fields(rest + " 0")[0], 10, 64)
	s.peak = max(s.peak, kb<<10)
	return kb << 10
}
