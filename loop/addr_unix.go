//go:build linux || darwin || freebsd

package loop

import (
	"net/netip"
	"strconv"

	"golang.org/x/sys/unix"
)

// addrPort converts a socket address; zero for unix sockets.
func addrPort(sa unix.Sockaddr) netip.AddrPort {
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port))
	case *unix.SockaddrInet6:
		ip := netip.AddrFrom16(sa.Addr)
		if !ip.Is4In6() && sa.ZoneId != 0 {
			ip = ip.WithZone(strconv.FormatUint(uint64(sa.ZoneId), 10))
		}
		return netip.AddrPortFrom(ip.Unmap(), uint16(sa.Port))
	}
	return netip.AddrPort{}
}
