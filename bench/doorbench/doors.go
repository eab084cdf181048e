//go:build linux

package main

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/loopmq/loopmq/bench"
)

// doors are the addresses of a broker, by name of the kind.
type doors map[string]string

// newDoors chooses addresses; TCP's is given. Nobody else is given the ports until
// free is called.
func newDoors(tcp netip.AddrPort, dir string) (d doors, free func(), err error) {
	d = doors{"tcp": tcp.String(), "unix": filepath.Join(dir, "s")}
	var held []*bench.Port
	free = func() {
		for _, p := range held {
			p.Free()
		}
	}
	for _, name := range []string{"ws", "tls", "wss"} {
		p, err := bench.HoldPort()
		if err != nil {
			return nil, free, err
		}
		held = append(held, p)
		d[name] = p.Addr.String()
	}
	return d, free, nil
}

func loopmqCommand(binary string, d doors, c *certificate) []string {
	secure := "?cert=" + c.cert + "&key=" + c.key
	return []string{
		binary, "serve", "--state-dir", "", "--log-level", "error", "--queued-messages-max", "1000000", "--queued-bytes-max", "1000000000",
		"--listen", "mqtt://" + d["tcp"], "--listen", "ws://" + d["ws"] + "/mqtt", "--listen", "mqtts://" + d["tls"] + secure,
		"--listen", "wss://" + d["wss"] + "/mqtt" + secure, "--listen", "unix://" + d["unix"],
	}
}

// mosquittoCommand has the settings of package bench for every door.
func mosquittoCommand(binary string, d doors, c *certificate, dir string) ([]string, error) {
	var conf strings.Builder
	conf.WriteString("allow_anonymous true\nmax_queued_messages 0\nset_tcp_nodelay true\nlog_type error\n")
	for _, k := range kinds {
		if k.unix {
			fmt.Fprintf(&conf, "listener 0 %s\n", d[k.name])
			continue
		}
		addr := netip.MustParseAddrPort(d[k.name])
		fmt.Fprintf(&conf, "listener %d %s\n", addr.Port(), addr.Addr())
		if k.web {
			conf.WriteString("protocol websockets\n")
		}
		if k.tls {
			fmt.Fprintf(&conf, "certfile %s\nkeyfile %s\n", c.cert, c.key)
		}
	}
	if err := os.Chmod(dir, 0o777); err != nil { // it makes its socket as another user
		return nil, err
	}
	file := filepath.Join(dir, "mosquitto.conf")
	return []string{binary, "-c", file}, os.WriteFile(file, []byte(conf.String()), 0o644)
}

// certificate is that of all brokers, as files, and what trusts it.
type certificate struct {
	cert, key string
	pair      tls.Certificate
	client    *tls.Config
}

// newCertificate signs one for itself, with P-256 as Let's Encrypt does.
func newCertificate(dir string) (*certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(365 * 24 * time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	c := &certificate{cert: filepath.Join(dir, "cert.pem"), key: filepath.Join(dir, "key.pem")}
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
	if err := os.WriteFile(c.cert, certPEM, 0o644); err != nil {
		return nil, err
	}
	if err := os.WriteFile(c.key, keyPEM, 0o644); err != nil { // mosquitto reads it as another user
		return nil, err
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		return nil, err
	}
	if c.pair, err = tls.X509KeyPair(certPEM, keyPEM); err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(certPEM)
	c.client = &tls.Config{RootCAs: roots, ServerName: "127.0.0.1"}
	return c, nil
}

// dial goes through a door up to where MQTT begins.
func (k kind) dial(d doors, c *certificate) (conn net.Conn, err error) {
	network := "tcp"
	if k.unix {
		network = "unix"
	}
	// A broker opens one listener after the other.
	for until := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if conn, err = net.DialTimeout(network, d[k.name], 10*time.Second); err == nil {
			break
		}
		if time.Now().After(until) {
			return nil, err
		}
	}
	if k.tls {
		conn = tls.Client(conn, c.client)
	}
	if !k.web {
		return conn, nil
	}
	request := "GET /mqtt HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n" +
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n"
	if _, err := io.WriteString(conn, request); err != nil {
		return nil, err
	}
	// Nothing comes behind the response before CONNECT, so nothing is lost here.
	in := bufio.NewReader(conn)
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return nil, fmt.Errorf("response to the upgrade: %w", err)
		}
		if strings.HasPrefix(line, "HTTP/") && !strings.HasPrefix(line, "HTTP/1.1 101") {
			return nil, fmt.Errorf("response to the upgrade: %s", line)
		}
		if line == "\r\n" {
			return conn, nil
		}
	}
}
