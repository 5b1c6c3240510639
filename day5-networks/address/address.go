// Package address does arithmetic on addresses: which subnet is free, which
// address in it is free, and what is wrong with those that a user asks for. It
// changes nothing in the kernel or on disk.
//
// It grew from rung 06-bridge, where the program has fixed addresses, and adds
// subnets that overlap nothing, ranges and IPv6.
package address

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
)

// ErrFull means that every address in a range is in use.
var ErrFull = errors.New("no free address")

// ParsePrefix reads a subnet or a range from a flag, such as 10.9.0.0/24. The
// error names the flag.
func ParsePrefix(flag, s string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return p, fmt.Errorf("invalid --%s %q: want an address and a length, such as 10.9.0.0/24", flag, s)
	}
	if p != p.Masked() {
		return p, fmt.Errorf("invalid --%s %q: bits are set beyond the length: did you mean %s?", flag, s, p.Masked())
	}
	return p, nil
}

// ParseAddr reads an address from a flag. It refuses a zone, which would be an
// interface of the host. The error names the flag.
func ParseAddr(flag, s string) (netip.Addr, error) {
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" || a.Is4In6() {
		return netip.Addr{}, fmt.Errorf("invalid --%s %q: want an address, such as 10.9.0.2 or fd00::2", flag, s)
	}
	return a, nil
}

// Last returns the highest address in p, which in IPv4 is the broadcast
// address.
func Last(p netip.Prefix) netip.Addr {
	bytes := p.Masked().Addr().AsSlice()
	for bit := p.Bits(); bit < 8*len(bytes); bit++ {
		bytes[bit/8] |= 1 << (7 - bit%8)
	}
	last, _ := netip.AddrFromSlice(bytes)
	return last
}

// special lists prefixes that no subnet may overlap: loopback, multicast,
// link-local, IPv4-mapped IPv6, and those that mean nobody or everybody. RFC
// 6890
var special = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("169.254.0.0/16"),
	netip.MustParsePrefix("224.0.0.0/4"), netip.MustParsePrefix("255.255.255.255/32"),
	netip.MustParsePrefix("::/127"), netip.MustParsePrefix("::ffff:0:0/96"), netip.MustParsePrefix("fe80::/10"), netip.MustParsePrefix("ff00::/8"),
}

// CheckSubnet returns what is wrong with a subnet that a user asks for.
func CheckSubnet(p netip.Prefix) error {
	a := p.Addr()
	switch {
	case !p.IsValid() || p != p.Masked():
		return fmt.Errorf("%s is not a subnet", p)
	case slices.ContainsFunc(special, p.Overlaps):
		return fmt.Errorf("subnet %s: these addresses have a meaning of their own: take one of 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16 or fd00::/8", p)
	case a.BitLen()-p.Bits() < 2:
		return fmt.Errorf("subnet %s has no room for a gateway and a container: take a length of at most %d", p, a.BitLen()-2)
	}
	return nil
}

// CheckHost returns what is wrong with an address for a host on the subnet.
func CheckHost(subnet netip.Prefix, a netip.Addr) error {
	switch {
	case !subnet.Contains(a):
		return fmt.Errorf("address %s is not in the subnet %s", a, subnet)
	case a == subnet.Addr():
		return fmt.Errorf("address %s is the address of the subnet %s itself", a, subnet)
	case a.Is4() && a == Last(subnet):
		return fmt.Errorf("address %s is the broadcast address of the subnet %s", a, subnet)
	}
	return nil
}

// CheckRange returns what is wrong with a range of addresses to choose from.
func CheckRange(subnet, within netip.Prefix) error {
	if within.Bits() < subnet.Bits() || !subnet.Contains(within.Addr()) {
		return fmt.Errorf("range %s is not in the subnet %s", within, subnet)
	}
	return nil
}

// Gateway returns a subnet's default gateway, which is the first address.
func Gateway(subnet netip.Prefix) netip.Addr { return subnet.Addr().Next() }

// Next returns the lowest free address in the range. It never returns the
// subnet's own address, its broadcast address, or one for which used returns
// true.
func Next(subnet, within netip.Prefix, used func(netip.Addr) bool) (netip.Addr, error) {
	for a := within.Addr(); within.Contains(a); a = a.Next() {
		if !used(a) && CheckHost(subnet, a) == nil {
			return a, nil
		}
	}
	return netip.Addr{}, fmt.Errorf("%w in %s: remove a container, or make a network with a larger --subnet", ErrFull, within)
}

// Overlap returns the first of the taken prefixes that shares addresses with p.
//
// It ignores prefixes shorter than /8, which mean "everything else": the
// default route, or its halves 0.0.0.0/1 and 128.0.0.0/1, with which a VPN
// overrides it.
func Overlap(p netip.Prefix, taken []netip.Prefix) (netip.Prefix, bool) {
	for _, t := range taken {
		if t.Bits() >= 8 && t.Overlaps(p) {
			return t, true
		}
	}
	return netip.Prefix{}, false
}

// Free returns a private IPv4 subnet that overlaps none of those taken. Like
// Docker, it tries 172.16.0.0/12, then 192.168.0.0/16, and last 10.0.0.0/8,
// which many VPNs use. It leaves 172.17.0.0/16 to Docker, whose bridge may come
// later.
func Free(taken []netip.Prefix) (netip.Prefix, error) {
	for i := 18; i < 32; i++ {
		if p := prefix4(172, byte(i), 0, 16); free(p, taken) {
			return p, nil
		}
	}
	for i := 0; i < 256; i += 16 {
		if p := prefix4(192, 168, byte(i), 20); free(p, taken) {
			return p, nil
		}
	}
	for i := range 1 << 16 {
		if p := prefix4(10, byte(i>>8), byte(i), 24); free(p, taken) {
			return p, nil
		}
	}
	return netip.Prefix{}, errors.New("no private subnet is free of networks and of routes of this machine: choose one with --subnet")
}

func prefix4(a, b, c byte, bits int) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{a, b, c, 0}), bits)
}

func free(p netip.Prefix, taken []netip.Prefix) bool {
	_, overlaps := Overlap(p, taken)
	return !overlaps
}

// ULA returns a new unique local IPv6 subnet, a /64: fd, 40 random bits, and 16
// bits of subnet ID, which are 0. RFC 4193, section 3.2
func ULA() netip.Prefix {
	a := [16]byte{0xfd}
	_, _ = rand.Read(a[1:6]) // never returns an error: it would crash the program
	return netip.PrefixFrom(netip.AddrFrom16(a), 64)
}

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
