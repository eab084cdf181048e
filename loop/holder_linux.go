package loop

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// holderOf names the process that listens on the port of address, as far as /proc tells: ` by "mosquitto" (pid 123)`.
// Other users' processes stay unnamed unless we are root.
func holderOf(address string) string {
	_, portText, _ := net.SplitHostPort(address)
	port, err := net.LookupPort("tcp", portText)
	if err != nil {
		return ""
	}
	inodes := make(map[string]bool)
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		listenInodes(table, port, inodes)
	}
	if len(inodes) == 0 {
		return ""
	}
	links, _ := filepath.Glob("/proc/[0-9]*/fd/*")
	for _, link := range links {
		target, err := os.Readlink(link)
		if err != nil || !inodes[target] {
			continue
		}
		pid := strings.Split(link, "/")[2]
		name, _ := os.ReadFile("/proc/" + pid + "/comm")
		return fmt.Sprintf(" by %q (pid %s)", strings.TrimSpace(string(name)), pid)
	}
	return " by another user's process"
}

// listenInodes adds "socket:[inode]" of each socket of table that listens on port. A line reads
// `sl local_address rem_address st tx:rx tr:when retrnsmt uid timeout inode …`, state 0A is LISTEN.
func listenInodes(table string, port int, inodes map[string]bool) {
	f, err := os.Open(table)
	if err != nil {
		return
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) < 10 || fields[3] != "0A" {
			continue
		}
		_, hexPort, _ := strings.Cut(fields[1], ":")
		if n, err := strconv.ParseUint(hexPort, 16, 16); err == nil && int(n) == port {
			inodes["socket:["+fields[9]+"]"] = true
		}
	}
}
