//go:build linux

package bench

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Target is a broker that can be measured.
type Target struct {
	Name string
	// Command is how it is started, listening on addr. dir is a folder for its
	// files.
	Command func(addr netip.AddrPort, dir string) ([]string, error)
	// Exact: it knows topics, but neither wildcards nor sessions.
	Exact bool
	// Peer: what it cannot do is noted, not an error.
	Peer bool
}

// LoopMQ is a loopmq binary; args are appended to its command line. The bounds
// on what waits for a subscriber and on its filters are lifted, as they are for
// the others.
func LoopMQ(name, binary string, args ...string) Target {
	return Target{Name: name, Command: func(addr netip.AddrPort, _ string) ([]string, error) {
		command := []string{
			binary, "serve", "--state-dir", "", "--listen", "mqtt://" + addr.String(), "--log-level", "error",
			"--queued-messages-max", "1000000", "--queued-bytes-max", "1000000000", "--subscriptions-max", "1000000",
		}
		return append(command, args...), nil
	}}
}

// WithStore is a loopmq that keeps its state on disk.
func WithStore(name, binary string) Target {
	return Target{Name: name, Command: func(addr netip.AddrPort, dir string) ([]string, error) {
		return LoopMQ(name, binary, "--state-dir", filepath.Join(dir, "state")).Command(addr, dir)
	}}
}

// Relay is the binary of bench/relay.
func Relay(binary string) Target {
	return Target{Name: "relay", Exact: true, Command: func(addr netip.AddrPort, _ string) ([]string, error) {
		return []string{binary, addr.String()}, nil
	}}
}

// Peer is any broker. The words of its command may hold {addr}, where it is to
// listen, and {dir}, a folder for its files.
func Peer(name, command string) Target {
	return Target{Name: name, Peer: true, Command: func(addr netip.AddrPort, dir string) ([]string, error) {
		words := strings.Fields(command)
		if len(words) == 0 {
			return nil, errors.New("no command")
		}
		for i := range words {
			words[i] = strings.NewReplacer("{addr}", addr.String(), "{dir}", dir).Replace(words[i])
		}
		return words, nil
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
func Mosquitto(binary string) Target { return MosquittoWith("mosquitto", binary, "") }

// MosquittoWith is one with more lines in its configuration, in which {dir}
// stands for a folder for its files.
func MosquittoWith(name, binary, more string) Target {
	return Target{Name: name, Command: func(addr netip.AddrPort, dir string) ([]string, error) {
		file := filepath.Join(dir, "mosquitto.conf")
		text := fmt.Sprintf(mosquittoConf, addr.Port(), addr.Addr()) + strings.ReplaceAll(more, "{dir}", dir)
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
	// Ready is how long it took from its start to its first CONNACK.
	Ready   time.Duration
	end     context.CancelFunc
	started time.Time
	gone    chan error // what waiting for the process returned
	port    *Port
	dir     string
	log     string // file with what it printed
}

// startMax is how long a broker may take until it answers.
const startMax = 10 * time.Second

// Start runs a broker on a free port of the loopback interface, pinned to a
// core (-1: not pinned), and returns when it answers CONNECT.
func Start(t Target, core int) (p *Process, err error) {
	port, err := HoldPort()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "loopbench-")
	defer func() {
		if err != nil {
			port.Free()
			os.RemoveAll(dir)
		}
	}()
	if err != nil {
		return nil, err
	}
	argv, err := t.Command(port.Addr, dir)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", t.Name, err)
	}
	p = &Process{Addr: port.Addr, port: port, dir: dir, log: filepath.Join(dir, "output")}
	if err := p.spawn(argv, core); err != nil {
		return nil, fmt.Errorf("%s: %w", t.Name, err)
	}
	if err := p.awaitConnack(); err != nil {
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
	cmd.WaitDelay = 20 * time.Second
	unpin, err := pin(core)
	if err != nil {
		end()
		return err
	}
	defer unpin()
	p.started = time.Now()
	if err := cmd.Start(); err != nil {
		end()
		return err
	}
	p.PID = cmd.Process.Pid
	p.gone = make(chan error, 1)
	go func() { p.gone <- cmd.Wait() }()
	return nil
}

// connackPoll is how often a starting broker is tried.
const connackPoll = 500 * time.Microsecond

// awaitConnack tries until somebody answers CONNECT, or the process has ended.
func (p *Process) awaitConnack() error {
	for until := p.started.Add(startMax); ; {
		fd, err := dial(p.Addr, "bench-first", true)
		p.Ready = time.Since(p.started)
		if err == nil {
			return unix.Close(fd)
		}
		if time.Now().After(until) {
			return fmt.Errorf("does not answer within %s: %w", startMax, err)
		}
		select {
		case end := <-p.gone:
			p.gone <- nil // for Stop
			return fmt.Errorf("ended at once: %w", errors.Join(end, err))
		case <-time.After(connackPoll):
		}
	}
}

// Stop ends the broker: SIGTERM, and SIGKILL 20 s later.
func (p *Process) Stop() error {
	p.end()
	err := <-p.gone
	p.port.Free()
	if exit, ok := errors.AsType[*exec.ExitError](err); errors.Is(err, context.Canceled) ||
		(ok && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGTERM) {
		err = nil // what Stop asked for
	}
	return errors.Join(err, os.RemoveAll(p.dir))
}
