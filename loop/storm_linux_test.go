package loop_test

import (
	"io"
	"net"
	"os"
	"os/exec"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/loopmq/loopmq/internal/leak"
	"github.com/loopmq/loopmq/loop"
)

// stormEnv tells the test binary to be the server of TestDescriptorStorm.
const stormEnv = "LOOPMQ_TEST_DESCRIPTORS"

func TestMain(m *testing.M) {
	if os.Getenv(stormEnv) != "" {
		stormServer()
		return
	}
	os.Exit(leak.Main(m))
}

// stormServer echoes with very few descriptors and no connection limit of its own, until its input ends.
func stormServer() {
	e, err := loop.New("epoll", loop.Options{
		Listeners: []loop.Listener{{Name: "mqtt", Network: "tcp", Address: "127.0.0.1:0"}},
		Limits:    loop.Limits{ConnsMax: 1 << 20},
	})
	if err != nil {
		panic(err)
	}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		e.Stop(0)
	}()
	limit := unix.Rlimit{Cur: 40, Max: 40}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		panic(err)
	}
	err = e.Run(loop.Hooks{
		Serving: func(s []*loop.Socket) { os.Stdout.WriteString(s[0].Addr().String() + "\n") },
		Accept: func(c loop.Conn, _ loop.Peer) loop.Handler {
			h := newHandler(c)
			echoing(h)
			return h
		},
	})
	st := e.Stats()
	if err != nil || st.AcceptNoFiles == 0 || st.AcceptShed == 0 || st.Conns != 0 {
		os.Stdout.WriteString("bad end\n")
		os.Exit(1)
	}
}

func TestDescriptorStormIsSurvived(t *testing.T) {
	server := exec.Command(os.Args[0])
	server.Env = append(os.Environ(), stormEnv+"=1")
	server.Stderr = os.Stderr
	stdin, _ := server.StdinPipe()
	stdout, _ := server.StdoutPipe()
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	line := make([]byte, 64)
	n, err := stdout.Read(line)
	if err != nil {
		t.Fatal(err)
	}
	addr := string(line[:n-1])

	works := func(c net.Conn) bool {
		_ = c.SetDeadline(time.Now().Add(patience))
		if _, err := c.Write([]byte("x")); err != nil {
			return false
		}
		_, err := c.Read(make([]byte, 1))
		return err == nil
	}
	var served []net.Conn
	refused := 0
	for range 200 { // five times what the server has descriptors for
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		if works(c) {
			served = append(served, c)
		} else {
			refused++
			c.Close()
		}
	}
	if len(served) < 10 || refused < 100 {
		t.Fatalf("%d served, %d refused; want those that fit, and an answer for the others", len(served), refused)
	}
	for i, c := range served {
		if !works(c) {
			t.Fatalf("connection %d was lost in the storm", i)
		}
	}
	for _, c := range served {
		c.Close()
	}
	for deadline := time.Now().Add(patience); ; {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		ok := works(c)
		c.Close()
		if ok {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("not served again after the storm")
		}
	}
	stdin.Close()
	rest, _ := io.ReadAll(stdout)
	if err := server.Wait(); err != nil {
		t.Fatalf("server: %v %s", err, rest)
	}
}
