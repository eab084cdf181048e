//go:build linux

package bench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// Target is a broker that can be measured.
type Target struct {
	Name string
	// Command is how it is started, listening on addr. dir is a folder for its
	// files.
	Command func(addr netip.AddrPort, dir string) ([]string, error)
	// Exact: it knows topics, but neither wildcards nor sessions.
	Exact bool
}

// LoopMQ is a loopmq binary; args are appended to its command line. The bound
// on what waits for a subscriber is lifted, as it is for the others.
func LoopMQ(name, binary string, args ...string) Target {
	return Target{Name: name, Command: func(addr netip.AddrPort, _ string) ([]string, error) {
		command := []string{
			binary, "serve", "--listen", "mqtt://" + addr.String(), "--log-level", "error",
			"--queued-messages-max", "1000000", "--queued-bytes-max", "1000000000",
		}
		return append(command, args...), nil
	}}
}

// Relay is the binary of bench/relay.
func Relay(binary string) Target {
	return Target{Name: "relay", Exact: true, Command: func(addr netip.AddrPort, _ string) ([]string, error) {
		return []string{binary, addr.String()}, nil
	}}
}

// mosquittoConf is what a fair run needs to say, and no more:
// max_queued_messages 0 lifts mosquitto's bound on what waits for a
// subscriber, as the generator keeps its own and dropped messages would be
// counted as speed; set_tcp_nodelay because LoopMQ sets it too; log_type error
// because LoopMQ runs with --log-level error. Nothing is persisted, which is
// mosquitto's default.
const mosquittoConf = `listener %d %s
allow_anonymous true
max_queued_messages 0
set_tcp_nodelay true
log_type error
`

// Mosquitto is a mosquitto binary, as its distribution builds it.
func Mosquitto(binary string) Target {
	return Target{Name: "mosquitto", Command: func(addr netip.AddrPort, dir string) ([]string, error) {
		file := filepath.Join(dir, "mosquitto.conf")
		text := fmt.Sprintf(mosquittoConf, addr.Port(), addr.Addr())
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			return nil, err
		}
		return []string{binary, "-c", file}, nil
	}}
}

// Process is a running broker.
type Process struct {
	Addr netip.AddrPort
	PID  int
	end  context.CancelFunc
	gone chan error // what waiting for the process returned
	dir  string
	log  string // file with what it printed
}

// startMax is how long a broker may take until it accepts connections.
const startMax = 10 * time.Second

// Start runs a broker on a free port of the loopback interface, pinned to a
// core (-1: not pinned), and returns when it accepts connections.
func Start(t Target, core int) (p *Process, err error) {
	addr, err := freePort()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "loopbench-")
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			os.RemoveAll(dir)
		}
	}()
	argv, err := t.Command(addr, dir)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", t.Name, err)
	}
	p = &Process{Addr: addr, dir: dir, log: filepath.Join(dir, "output")}
	if err := p.spawn(argv, core); err != nil {
		return nil, fmt.Errorf("%s: %w", t.Name, err)
	}
	if err := p.awaitAccept(); err != nil {
		said, _ := os.ReadFile(p.log)
		return nil, fmt.Errorf("%s: %w; it printed: %s", t.Name, errors.Join(err, p.Stop()), said)
	}
	return p, nil
}

// spawn starts the process from a thread that is pinned already, so that the
// broker inherits the core from its first instruction on, and a Go broker sizes
// its scheduler for it.
func (p *Process) spawn(argv []string, core int) error {
	out, err := os.Create(p.log)
	if err != nil {
		return err
	}
	defer out.Close()
	ctx, end := context.WithCancel(context.Background())
	p.end = end
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 5 * time.Second
	unpin, err := pin(core)
	if err != nil {
		end()
		return err
	}
	defer unpin()
	if err := cmd.Start(); err != nil {
		end()
		return err
	}
	p.PID = cmd.Process.Pid
	p.gone = make(chan error, 1)
	go func() { p.gone <- cmd.Wait() }()
	return nil
}

// awaitAccept tries until somebody listens, or the process has ended.
func (p *Process) awaitAccept() error {
	for until := time.Now().Add(startMax); ; {
		c, err := net.DialTimeout("tcp", p.Addr.String(), time.Second)
		if err == nil {
			return c.Close()
		}
		if time.Now().After(until) {
			return fmt.Errorf("does not accept connections within %s: %w", startMax, err)
		}
		select {
		case end := <-p.gone:
			p.gone <- nil // for Stop
			return fmt.Errorf("ended at once: %w", errors.Join(end, err))
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// Stop ends the broker: SIGTERM, and SIGKILL 5 s later.
func (p *Process) Stop() error {
	p.end()
	err := <-p.gone
	if exit, ok := errors.AsType[*exec.ExitError](err); errors.Is(err, context.Canceled) ||
		(ok && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGTERM) {
		err = nil // what Stop asked for
	}
	return errors.Join(err, os.RemoveAll(p.dir))
}

func freePort() (netip.AddrPort, error) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return netip.AddrPort{}, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).AddrPort(), nil
}
