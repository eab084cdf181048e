package hostile

import (
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/loopmq/loopmq/broker"
	"github.com/loopmq/loopmq/conformance/child"
)

func TestMain(m *testing.M) {
	if !child.Asked() {
		os.Exit(m.Run())
	}
	var urls []string
	for _, d := range doors {
		urls = append(urls, d.listen)
	}
	// Limits are small where a row has to reach them.
	if err := child.Serve(urls, broker.Limits{
		ConnectTimeout: 2 * time.Second, SlowTimeout: 2 * time.Second,
		RetainedMessagesMax: 20_000, RetainedBytesMax: 16 << 20, SessionsMax: 2_000,
	}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// server is the broker's process and what is done to it.
type server struct {
	*child.Server
	t     *testing.T
	mu    sync.Mutex
	doing map[string]bool // rows in progress
}

func startServer(t *testing.T) *server {
	t.Helper()
	c, err := child.Start(len(doors))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Stop(); err != nil {
			t.Errorf("broker: %v", err)
		}
	})
	return &server{Server: c, t: t, doing: map[string]bool{}}
}

// holds asks the broker.
func (s *server) holds() child.Held {
	s.t.Helper()
	h, err := s.Ask(child.Thorough)
	if err != nil {
		s.t.Fatal(err)
	}
	return h
}
