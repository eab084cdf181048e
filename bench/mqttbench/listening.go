package mqttbench

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/loopmq/loopmq/client"
)

// Why FindProcess found nothing.
var (
	errElsewhere = errors.New("the broker is not on this machine")
	errHidden    = errors.New("no process that may be looked into listens there (root may look into all)")
)

// FindProcess is the process of this machine that listens where a URL leads.
// Only Linux tells that. Of several that share the socket it is the oldest; the
// init process, which may have opened the socket for another, comes last.
func FindProcess(url string) (pid int, err error) {
	s, err := client.ParseURL(url)
	if err != nil {
		return 0, err
	}
	var sockets []string
	if s.Network == "unix" {
		sockets, err = unixSockets(s.Address)
	} else {
		sockets, err = tcpSockets(s.Address)
	}
	if err != nil {
		return 0, err
	}
	return socketOwner(sockets)
}

// ProcessName is what the kernel calls a process, at most 15 bytes.
func ProcessName(pid int) string {
	name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	if err != nil {
		return "?"
	}
	return strings.TrimSpace(string(name))
}

// tcpSockets are the listening sockets of a port, as links of /proc/PID/fd read.
func tcpSockets(address string) (links []string, err error) {
	if !local(address) {
		return nil, errElsewhere
	}
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return nil, err
	}
	for _, file := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		table, err := os.ReadFile(file)
		if errors.Is(err, fs.ErrNotExist) {
			continue // a kernel without IPv6
		}
		if err != nil {
			return nil, err
		}
		links = append(links, listening(table, fmt.Sprintf(":%04X", n))...)
	}
	return links, nil
}

// local reports whether an address is one of this machine: then the kernel
// would use it for both ends. UDP asks it without sending anything.
func local(address string) bool {
	c, err := net.Dial("udp", address)
	if err != nil {
		return false
	}
	defer c.Close()
	here, there := c.LocalAddr().(*net.UDPAddr).IP, c.RemoteAddr().(*net.UDPAddr).IP
	return there.IsLoopback() || here.Equal(there)
}

// listening finds the sockets of a port in a table of the kernel: field 2 is
// the address, 4 the state, of which 0A is LISTEN, 10 the inode.
func listening(table []byte, port string) (links []string) {
	for line := range bytes.Lines(table) {
		f := bytes.Fields(line)
		if len(f) > 9 && bytes.HasSuffix(f[1], []byte(port)) && string(f[3]) == "0A" {
			links = append(links, "socket:["+string(f[9])+"]")
		}
	}
	return links
}

// unixSockets are the listening sockets at a path: field 4 holds the flag of a
// socket that accepts, 7 is the inode, 8 the path.
func unixSockets(path string) (links []string, err error) {
	table, err := os.ReadFile("/proc/net/unix")
	if err != nil {
		return nil, err
	}
	for line := range bytes.Lines(table) {
		f := bytes.Fields(line)
		if len(f) == 8 && string(f[7]) == path && string(f[3]) == "00010000" {
			links = append(links, "socket:["+string(f[6])+"]")
		}
	}
	return links, nil
}

// socketOwner is the process that has one of the sockets open.
func socketOwner(links []string) (pid int, err error) {
	var owners []int
	dirs, err := filepath.Glob("/proc/[0-9]*/fd")
	if err != nil {
		return 0, err
	}
	for _, dir := range dirs {
		// What may not be looked into, or ends meanwhile, is left out.
		files, _ := os.ReadDir(dir)
		for _, f := range files {
			link, err := os.Readlink(filepath.Join(dir, f.Name()))
			if err != nil || !slices.Contains(links, link) {
				continue
			}
			if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(dir))); err == nil {
				owners = append(owners, pid)
			}
			break
		}
	}
	if len(owners) == 0 {
		return 0, errHidden
	}
	sort.Slice(owners, func(i, j int) bool { return cmp.Less(owners[i], owners[j]) })
	if owners[0] == 1 && len(owners) > 1 {
		return owners[1], nil
	}
	return owners[0], nil
}
