package child

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// Options say what a broker is to be like.
type Options struct {
	Listeners int      // how many Serve is given
	StateDir  string   // that it keeps; "": none
	Addrs     []string // where it listens; nil: where there is room
}

// Server is a broker's process, seen from outside. Any goroutine may use it.
type Server struct {
	Addrs []string // of its listeners
	PID   int

	o     Options
	cmd   *exec.Cmd
	mu    sync.Mutex
	ask   *os.File
	lines *bufio.Scanner
}

// Start starts this binary again as a broker.
func Start(o Options) (*Server, error) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), askedEnv+"=1", stateEnv+"="+o.StateDir, addrsEnv+"="+strings.Join(o.Addrs, " "))
	cmd.Stderr = os.Stderr
	in, ask, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer in.Close()
	cmd.Stdin = in
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	s := &Server{PID: cmd.Process.Pid, o: o, cmd: cmd, ask: ask, lines: bufio.NewScanner(out)}
	for range o.Listeners {
		if !s.lines.Scan() {
			return nil, errors.Join(errors.New("the broker did not start"), s.Stop())
		}
		s.Addrs = append(s.Addrs, s.lines.Text())
	}
	return s, nil
}

// Restart ends the broker by a signal and starts another one in its place.
func (s *Server) Restart(by syscall.Signal) (*Server, error) {
	if err := s.cmd.Process.Signal(by); err != nil {
		return nil, fmt.Errorf("end the broker: %w", err)
	}
	err := s.cmd.Wait()
	s.ask.Close()
	if by != syscall.SIGKILL && err != nil {
		return nil, fmt.Errorf("the broker ended badly by %v: %w", by, err)
	}
	return Start(s.o)
}

// Stop ends the broker and returns how it ended.
func (s *Server) Stop() error {
	s.ask.Close()
	return s.cmd.Wait()
}

// Ask asks the broker what it holds.
func (s *Server) Ask(q Question) (h Held, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := fmt.Fprintln(s.ask, q); err != nil {
		return h, fmt.Errorf("the broker is gone: %w", err)
	}
	if !s.lines.Scan() {
		return h, errors.New("the broker is gone")
	}
	return h, json.Unmarshal(s.lines.Bytes(), &h)
}

// Resident returns the memory of the broker's process, in bytes.
func (s *Server) Resident() int64 { return s.status("VmRSS:") }

// Peak is the most that it ever was, as the kernel has noted it.
func (s *Server) Peak() int64 { return s.status("VmHWM:") }

// status is a size from the kernel's account of the process.
func (s *Server) status(key string) int64 {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.PID))
	_, rest, _ := strings.Cut(string(text), key)
	kb, _ := strconv.ParseInt(strings.Fields(rest + " 0")[0], 10, 64)
	return kb << 10
}

// Descriptors counts the open files of the broker's process.
func (s *Server) Descriptors() int {
	entries, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", s.PID))
	return len(entries)
}
