package hostile

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/loopmq/loopmq/broker"
	"github.com/loopmq/loopmq/conformance/child"
	"github.com/loopmq/loopmq/internal/leak"
	"github.com/loopmq/loopmq/internal/testkit"
)

func TestMain(m *testing.M) {
	if addr := os.Getenv(witnessEnv); addr != "" {
		if err := testify(addr); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	if !child.Asked() {
		os.Exit(leak.Main(m))
	}
	above()
	dir, err := os.MkdirTemp("", "hostile-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	cert, key := testkit.Sign(testkit.Host("", "localhost"), nil).Save(dir, "broker")
	var urls []string
	for _, d := range doors {
		urls = append(urls, strings.NewReplacer("CERT", cert, "KEY", key).Replace(d.listen))
	}
	// Limits are small where a row has to reach them; memory is the one that none may.
	if err := child.Serve(urls, broker.Limits{
		ConnectTimeout: 5 * time.Second, SlowTimeout: 2 * time.Second,
		RetainedMessagesMax: 20_000, RetainedBytesMax: 16 << 20, SessionsMax: 2_000,
		MemoryBytesMax: memoryLimit,
	}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.RemoveAll(dir)
		os.Exit(1)
	}
}

// memoryLimit is the broker's. The account counts what waits for each session that it waits for, and sixty full queues
// of the same messages are 480 MiB of it; the rows must stay below, and what they really take below residentMax.
const (
	memoryLimit = 1 << 30
	residentMax = 256 << 20
)

// server is the broker's process and what is done to it.
type server struct {
	*child.Server
	t     *testing.T
	mu    sync.Mutex
	spans []span
}

func startServer(t *testing.T) *server {
	t.Helper()
	c, err := child.Start(child.Options{Listeners: len(doors)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Stop(); err != nil {
			t.Errorf("broker: %v", err)
		}
	})
	return &server{Server: c, t: t}
}

// holds asks the broker.
func (s *server) holds(q child.Question) child.Held {
	s.t.Helper()
	h, err := s.Ask(q)
	if err != nil {
		s.t.Fatal(err)
	}
	return h
}
