package address

import (
	"net"
	"net/netip"
)

// MAC returns the Ethernet address for an IPv4 address: 02, which means that no
// vendor assigned it, 42 as in Docker's, and the IPv4 address. So if a
// container gets an address that another one had, the entries in its
// neighbours' tables are still right, arp(7).
func MAC(a netip.Addr) net.HardwareAddr {
	bytes := a.AsSlice()
	return append(net.HardwareAddr{0x02, 0x42}, bytes[len(bytes)-4:]...)
}

// LinkLocal returns the link-local IPv6 address for an Ethernet address. RFC
// 4291, appendix A
func LinkLocal(mac net.HardwareAddr) netip.Addr {
	a := [16]byte{0: 0xfe, 1: 0x80, 8: mac[0] ^ 2, 9: mac[1], 10: mac[2], 11: 0xff, 12: 0xfe, 13: mac[3], 14: mac[4], 15: mac[5]}
	return netip.AddrFrom16(a)
}
