//go:build linux

package main

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// memoryBytes is how much plaintext the ceiling is measured with.
const memoryBytes = 256 << 20

// memoryConn is a connection within memory, once the handshake is over.
type memoryConn struct {
	net.Conn
	in   *bytes.Buffer // nil: Conn is read
	out  *bytes.Buffer // nil: Conn is written to
	sink bool          // what is written is dropped
}

// Read implements io.Reader.
func (m *memoryConn) Read(b []byte) (int, error) {
	if m.in != nil {
		return m.in.Read(b)
	}
	return m.Conn.Read(b)
}

// Write implements io.Writer.
func (m *memoryConn) Write(b []byte) (int, error) {
	switch {
	case m.sink:
		return len(b), nil
	case m.out != nil:
		return m.out.Write(b)
	}
	return m.Conn.Write(b)
}

// memoryTLS is how many µs crypto/tls takes on the broker's core to decrypt a
// message of 1 KiB and to encrypt it again, in records of so many bytes.
func memoryTLS(c *certificate, recordBytes int) (each float64, err error) {
	runtime.LockOSThread() // and never unlocked: the thread ends with main
	var only unix.CPUSet
	only.Set(brokerCore)
	if err := unix.SchedSetaffinity(0, &only); err != nil {
		return 0, fmt.Errorf("pin to core %d: %w", brokerCore, err)
	}
	a, b := net.Pipe()
	ours, theirs := &memoryConn{Conn: a}, &memoryConn{Conn: b}
	server := tls.Server(ours, &tls.Config{Certificates: []tls.Certificate{c.pair}, SessionTicketsDisabled: true})
	client := tls.Client(theirs, c.client)
	shaken := make(chan error, 1)
	go func() { shaken <- client.Handshake() }()
	if err := server.Handshake(); err != nil {
		return 0, err
	}
	if err := <-shaken; err != nil {
		return 0, err
	}
	ciphertext := &bytes.Buffer{}
	theirs.out, ours.in, ours.sink = ciphertext, ciphertext, true
	record := make([]byte, recordBytes)
	var took time.Duration
	for done := 0; done < memoryBytes; done += 16 << 20 {
		for range (16 << 20) / len(record) {
			if _, err := client.Write(record); err != nil {
				return 0, err
			}
		}
		began, err := threadTime()
		if err != nil {
			return 0, err
		}
		for range (16 << 20) / len(record) {
			if _, err := io.ReadFull(server, record); err != nil {
				return 0, err
			}
			if _, err := server.Write(record); err != nil {
				return 0, err
			}
		}
		ended, err := threadTime()
		if err != nil {
			return 0, err
		}
		took += ended - began
	}
	return float64(took.Nanoseconds()) / 1e3 / (memoryBytes / 1024), nil
}

// threadTime is the processor time of the calling thread: the machine may have
// other things to do meanwhile.
func threadTime() (time.Duration, error) {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_THREAD, &u); err != nil {
		return 0, fmt.Errorf("getrusage: %w", err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()), nil
}
