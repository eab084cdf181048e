package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/loopmq/loopmq/client"
)

// Ports of a broker's own listeners for WebSocket, for -h with --ws and no -p.
// A ws URL without a port means 80 and 443, as everywhere.
const (
	portWS  = 8083
	portWSS = 8084
)

// doorFlags are the flags of every client about TLS and WebSocket.
func doorFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Category: "TLS", Name: "cafile", Usage: "`FILE` of trusted certificates; turns TLS on"},
		&cli.StringFlag{Category: "TLS", Name: "capath", Usage: "`DIR` of trusted certificates; turns TLS on"},
		&cli.BoolFlag{Category: "TLS", Name: "tls-use-os-certs", Usage: "trust the system's certificates; turns TLS on"},
		&cli.StringFlag{Category: "TLS", Name: "cert", Usage: "`FILE` of the client's certificate; turns TLS on"},
		&cli.StringFlag{Category: "TLS", Name: "key", Usage: "`FILE` of the client's key"},
		&cli.StringFlag{Category: "TLS", Name: "tls-version", Usage: "least `VERSION`: tlsv1.2 or tlsv1.3"},
		&cli.StringFlag{Category: "TLS", Name: "alpn", Aliases: []string{"tls-alpn"}, Usage: "application `PROTOCOL` to ask for; several with commas between them"},
		&cli.BoolFlag{Category: "TLS", Name: "insecure", Usage: "do not check who the server is"},
		&cli.StringSliceFlag{Category: "WebSocket", Name: "ws-header", Usage: "`\"NAME: VALUE\"` to send with the WebSocket request; repeatable"},
	}
}

func wantsTLS(c *cli.Context) bool {
	return c.IsSet("cafile") || c.IsSet("capath") || c.IsSet("cert") || c.Bool("tls-use-os-certs")
}

// readURL takes one URL, with TLS if the flags turn it on.
func (conn *connection) readURL(c *cli.Context, raw string) error {
	s, err := client.ParseURL(raw)
	if err != nil {
		return err
	}
	if wantsTLS(c) && !s.TLS {
		if s.Network == "unix" {
			return errors.New("a unix socket has no TLS; leave out --cafile, --capath, --cert and --tls-use-os-certs")
		}
		_, rest, _ := strings.Cut(raw, "://")
		secure := "mqtts://"
		if s.WebSocket {
			secure = "wss://"
		}
		if s, err = client.ParseURL(secure + rest); err != nil {
			return err
		}
		raw = secure + rest
	}
	conn.URL, conn.server = raw, s
	conn.Username, conn.Password = s.Username, s.Password
	if !s.WebSocket {
		conn.topic = s.Path
	}
	return nil
}

// hostURL is the URL that -h, -p and --ws stand for.
func hostURL(c *cli.Context) (string, error) {
	host, port, web := c.String("host"), c.Int("port"), c.Bool("ws")
	if c.IsSet("port") && (port < 1 || port > 65535) {
		return "", fmt.Errorf("-p %d: a port is 1 to 65535", port)
	}
	secure := wantsTLS(c) || port == 8883 || web && port == 443
	scheme := "mqtt"
	switch {
	case web && secure:
		scheme, port = "wss", orDefault(port, portWSS)
	case web:
		scheme, port = "ws", orDefault(port, portWS)
	case secure:
		scheme = "mqtts"
	}
	if strings.Contains(host, ":") && !strings.HasPrefix(host, "[") {
		host = "[" + strings.Replace(host, "%", "%25", 1) + "]" // IPv6, perhaps with a zone
	}
	raw := scheme + "://" + host
	if port != 0 {
		raw += ":" + strconv.Itoa(port)
	}
	if _, err := client.ParseURL(raw); err != nil || strings.ContainsAny(host, "/?#@") {
		return "", fmt.Errorf("-h %q: not a host; a URL goes behind -L", c.String("host"))
	}
	return raw, nil
}

func orDefault(port, otherwise int) int {
	if port == 0 {
		return otherwise
	}
	return port
}

// unixURL is the URL of a path.
func unixURL(path string) string { return "unix://" + (&url.URL{Path: path}).EscapedPath() }

// readDoor reads the flags of doorFlags; the URL is known.
func (conn *connection) readDoor(c *cli.Context) (err error) {
	if conn.Header, err = readHeaders(c.StringSlice("ws-header")); err != nil {
		return err
	}
	if len(conn.Header) > 0 && !conn.server.WebSocket {
		return fmt.Errorf("--ws-header: %s is no WebSocket; use ws:// or wss://, or --ws", conn.server.URL())
	}
	conn.TLS, err = readTLS(c)
	return err
}

// managed are headers that the handshake itself is made of.
//
// table: never written.
var managed = []string{"Connection", "Upgrade", "Content-Length", "Transfer-Encoding"}

// readHeaders reads NAME: VALUE.
func readHeaders(lines []string) (http.Header, error) {
	h := http.Header{}
	for _, line := range lines {
		name, value, found := strings.Cut(line, ":")
		value = strings.TrimSpace(value)
		notToken := func(r rune) bool {
			return r <= ' ' || r >= 0x7f || strings.ContainsRune(`()<>@,;:\"/[]?={}`, r)
		}
		if !found || name == "" || strings.ContainsFunc(name, notToken) {
			return nil, fmt.Errorf(`--ws-header %q: write "NAME: VALUE"`, line)
		}
		if strings.ContainsFunc(value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
			return nil, fmt.Errorf("--ws-header %s: its value has control characters", name)
		}
		name = http.CanonicalHeaderKey(name)
		if slices.Contains(managed, name) || strings.HasPrefix(name, "Sec-Websocket-") {
			return nil, fmt.Errorf("--ws-header %s: the client sets that one itself", name)
		}
		h.Add(name, value)
	}
	return h, nil
}

// readTLS reads certificates and keys.
func readTLS(c *cli.Context) (*tls.Config, error) {
	cfg := &tls.Config{InsecureSkipVerify: c.Bool("insecure"), MinVersion: tls.VersionTLS12}
	switch v := c.String("tls-version"); v {
	case "", "tlsv1.2":
	case "tlsv1.3":
		cfg.MinVersion = tls.VersionTLS13
	default:
		return nil, fmt.Errorf("--tls-version %q: use tlsv1.2 or tlsv1.3", v)
	}
	if p := c.String("alpn"); p != "" {
		cfg.NextProtos = strings.Split(p, ",")
	}
	var err error
	if cfg.RootCAs, err = readRoots(c.String("cafile"), c.String("capath")); err != nil {
		return nil, err
	}
	if cert, key := c.String("cert"), c.String("key"); cert != "" || key != "" {
		if cert == "" || key == "" {
			return nil, errors.New("--cert and --key belong together")
		}
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			return nil, fmt.Errorf("--cert %s --key %s: %w", cert, key, err)
		}
		cfg.Certificates = []tls.Certificate{pair}
	}
	return cfg, nil
}

// readRoots reads the certificates that are trusted; nil: the system's.
func readRoots(file, dir string) (*x509.CertPool, error) {
	if file == "" && dir == "" {
		return nil, nil
	}
	pool := x509.NewCertPool()
	if file != "" {
		pem, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("--cafile: %w", err)
		}
		if !pool.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("--cafile %s: no certificate in PEM form in it", file)
		}
	}
	if dir != "" {
		found, err := filepath.Glob(filepath.Join(dir, "*"))
		if err != nil {
			return nil, fmt.Errorf("--capath %s: %w", dir, err)
		}
		any := false
		for _, name := range found {
			if pem, err := os.ReadFile(name); err == nil && pool.AppendCertsFromPEM(pem) {
				any = true
			}
		}
		if !any {
			return nil, fmt.Errorf("--capath %s: no certificates in PEM form there", dir)
		}
	}
	return pool, nil
}

// hint is what a person at the command line can do about an error; mostly
// empty.
func hint(err error) string {
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return "; give the authority's certificate with --cafile"
	}
	if e, ok := errors.AsType[*client.UpgradeError](err); ok && e.Status == http.StatusUnauthorized {
		return ` (--ws-header "Authorization: ...")`
	}
	if e, ok := errors.AsType[*net.OpError](err); ok && e.Op == "remote error" {
		switch e.Err.Error() {
		case "tls: certificate required", "tls: bad certificate", "tls: unknown certificate authority", "tls: expired certificate":
			return "; give one with --cert and --key"
		case "tls: handshake failure":
			return " (--cert and --key)"
		}
	}
	return ""
}
