package testkit

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// FreeAddr is one of FreeAddrs.
func FreeAddr(t testing.TB) string {
	t.Helper()
	return FreeAddrs(t, 1)[0]
}

// FreeAddrs are addresses of loopback that nobody listens at. Their ports are below those that systems choose for
// connections: who tries to connect while nobody is there must not be given the very port, and be connected to itself.
func FreeAddrs(t testing.TB, n int) (addrs []string) {
	t.Helper()
	const first, ports = 20_000, 12_000
	for range 1000 {
		l, err := net.Listen("tcp", fmt.Sprint("127.0.0.1:", first+rand.IntN(ports)))
		if err != nil {
			continue
		}
		defer l.Close()
		if addrs = append(addrs, l.Addr().String()); len(addrs) == n {
			return addrs
		}
	}
	t.Fatal("no port is free")
	return nil
}

// Peer is Mosquitto's broker.
type Peer struct {
	Addr, Port string
	PID        int
	Stop       func() // as its service does; it may be called again
}

// Mosquitto starts Mosquitto's broker with these lines in its configuration, until the test ends at the latest.
func Mosquitto(t testing.TB, config string) *Peer {
	t.Helper()
	said := ""
	for range 5 { // another process may take the port between our looking and its binding
		p := &Peer{Addr: FreeAddr(t)}
		p.Port = p.Addr[strings.LastIndexByte(p.Addr, ':')+1:]
		conf := filepath.Join(t.TempDir(), "mosquitto.conf")
		text := "listener " + p.Port + " 127.0.0.1\nuser root\n" + config + "\n"
		must(os.WriteFile(conf, []byte(text), 0o600))
		if said = p.start(t, exec.Command(Program(t, "mosquitto"), "-c", conf)); said == "" {
			return p
		}
	}
	t.Fatalf("mosquitto does not start:\n%s\n%s", said, config)
	return nil
}

// start returns what it said before it ended by itself, or nothing when it runs.
func (p *Peer) start(t testing.TB, cmd *exec.Cmd) (said string) {
	t.Helper()
	log, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p.PID = cmd.Process.Pid
	lines := bufio.NewScanner(log)
	for lines.Scan() {
		said += lines.Text() + "\n"
		if !strings.HasSuffix(lines.Text(), " running") {
			continue
		}
		drained := make(chan struct{})
		go func() {
			for lines.Scan() { // so that it never waits for us
			}
			close(drained)
		}()
		p.Stop = sync.OnceFunc(func() {
			defer time.AfterFunc(Patience, func() { _ = cmd.Process.Kill() }).Stop()
			_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended by itself
			<-drained
			_ = cmd.Wait()
		})
		t.Cleanup(p.Stop)
		return ""
	}
	_ = cmd.Wait()
	return said + "(its end)"
}
