package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/loopmq/loopmq/codec"
)

// wireConn speaks MQTT 3.1.1 as it is told to.
type wireConn struct {
	net.Conn
	stop chan struct{}
}

// dial connects a client; nil: not now.
func (w *torture) dial(id string, clean bool) *wireConn {
	conn, err := net.Dial("tcp", w.addr)
	if err != nil {
		time.Sleep(time.Millisecond)
		return nil
	}
	flags := "\x00"
	if clean {
		flags = "\x02"
	}
	_, _ = conn.Write(encode(0x10, text("MQTT"), "\x04", flags, "\x00\x00", text(id)))
	return &wireConn{conn, w.stop}
}

// packets reads until the connection ends or each returns an error. The first
// must be CONNACK.
func (c *wireConn) packets(each func(k *codec.Packet) error) error {
	buf := make([]byte, 0, 64<<10)
	connected := false
	for {
		k, n, err := codec.Next(buf, codec.MaxPacketBytes)
		if err != nil {
			return err
		}
		if n > 0 {
			if !connected && (k.Type != codec.TypeConnack || k.Body[1] != 0) {
				return fmt.Errorf("no CONNACK but %v % x", k.Type, k.Body)
			}
			if connected {
				if err := each(&k); err != nil {
					return err
				}
			}
			connected = true
			buf = append(buf[:0], buf[n:]...)
			continue
		}
		select {
		case <-c.stop:
			return nil
		default:
		}
		_ = c.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
		if len(buf) == cap(buf) {
			buf = append(buf, 0)[:len(buf)]
		}
		m, err := c.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+m]
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			return err
		}
	}
}

func text(s string) string { return string([]byte{byte(len(s) >> 8), byte(len(s))}) + s }

func encode(first byte, parts ...string) []byte {
	body := strings.Join(parts, "")
	out := []byte{first}
	for n := len(body); ; {
		b := byte(n & 127)
		if n >>= 7; n > 0 {
			out = append(out, b|128)
			continue
		}
		return append(append(out, b), body...)
	}
}
