// Package ports handles published ports: it reads them from the command line,
// holds them on the host, and prints them.
//
// It grew from rung 08-publish, adds UDP, ranges, IPv6 and ports chosen by the
// kernel, and makes sure that no other program gets a port while it is
// published.
package ports

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// A Port is a published port: what arrives on the host at HostIP:HostPort goes
// to the container's Port.
type Port struct {
	HostIP   netip.Addr // the zero Addr: all addresses of the host
	HostPort uint16     // 0: choose a free one
	Port     uint16     // in the container; 0 only inside this package
	Protocol string     // tcp or udp
}

// String returns the port as Docker prints it: 0.0.0.0:8080->80/tcp.
func (p Port) String() string {
	if p.HostPort == 0 {
		return p.Private()
	}
	return fmt.Sprintf("%s->%s", p.Public(), p.Private())
}

// Public returns the host's side: 0.0.0.0:8080, [::]:8080.
func (p Port) Public() string {
	if !p.HostIP.IsValid() {
		p.HostIP = netip.IPv4Unspecified()
	}
	return netip.AddrPortFrom(p.HostIP, p.HostPort).String()
}

// Private returns the container's side: 80/tcp.
func (p Port) Private() string { return fmt.Sprintf("%d/%s", p.Port, p.Protocol) }

// Parse reads the value of -p: [[IP:]HOST:]CONTAINER[/PROTOCOL]. Without HOST,
// a port is chosen when the container starts. Both may be ranges of the same
// length, like 8000-8010, which give one Port for each number.
func Parse(s string) ([]Port, error) {
	list, err := parse(s)
	if err != nil {
		return nil, fmt.Errorf("invalid port %q: %w: want [[IP:]HOST:]CONTAINER[/tcp|/udp]", s, err)
	}
	return list, nil
}

func parse(s string) ([]Port, error) {
	rest, protocol, found := strings.Cut(s, "/")
	protocol = strings.ToLower(protocol)
	switch {
	case !found:
		protocol = "tcp"
	case protocol == "sctp":
		return nil, errors.New("sctp is not published by this program")
	case protocol != "tcp" && protocol != "udp":
		return nil, fmt.Errorf("unknown protocol %q", protocol)
	}
	address, host, private := split(rest)
	p := Port{Protocol: protocol}
	var err error
	if p.HostIP, err = parseAddress(address); err != nil {
		return nil, err
	}
	first, last, err := parseRange(private)
	if err != nil {
		return nil, fmt.Errorf("the container's: %w", err)
	}
	var hostFirst, hostLast uint16
	if host != "" {
		if hostFirst, hostLast, err = parseRange(host); err != nil {
			return nil, fmt.Errorf("the host's: %w", err)
		}
		if hostLast-hostFirst != last-first {
			return nil, errors.New("the two ranges are not of one length")
		}
	}
	var list []Port
	for i := 0; i <= int(last-first); i++ {
		p.Port = first + uint16(i)
		if host != "" {
			p.HostPort = hostFirst + uint16(i)
		}
		list = append(list, p)
	}
	return list, nil
}

// parseAddress reads an address of the host; "" becomes the zero Addr.
func parseAddress(s string) (netip.Addr, error) {
	if s == "" {
		return netip.Addr{}, nil
	}
	ip, err := netip.ParseAddr(strings.Trim(s, "[]"))
	if err != nil || ip.Zone() != "" {
		return ip, fmt.Errorf("%q is not an address", s)
	}
	if ip = ip.Unmap(); ip.IsMulticast() || ip == netip.AddrFrom4([4]byte{255, 255, 255, 255}) {
		return ip, fmt.Errorf("%s is no host's address", s)
	}
	return ip, nil
}

// split works from the end, because an IPv6 address contains colons, too.
func split(s string) (address, host, private string) {
	at := strings.LastIndexByte(s, ':')
	if at < 0 {
		return "", "", s
	}
	private, s = s[at+1:], s[:at]
	if at = strings.LastIndexByte(s, ':'); at < 0 {
		return "", s, private
	}
	return s[:at], s[at+1:], private
}

func parseRange(s string) (first, last uint16, err error) {
	from, to, _ := strings.Cut(s, "-")
	a, err1 := strconv.ParseUint(from, 10, 16)
	b, err2 := strconv.ParseUint(cmp.Or(to, from), 10, 16)
	if err1 != nil || err2 != nil || a == 0 || b < a || strings.HasSuffix(s, "-") {
		return 0, 0, fmt.Errorf("%q is not a port from 1 to 65535, or a range of them", s)
	}
	return uint16(a), uint16(b), nil
}

// Exposed reads a port from an image's ExposedPorts: 80/tcp, 53/udp, 8000-8010.
// It returns none for SCTP.
func Exposed(s string) ([]Port, error) {
	if strings.HasSuffix(strings.ToLower(s), "/sctp") {
		return nil, nil
	}
	if strings.Contains(s, ":") {
		return nil, fmt.Errorf("invalid exposed port %q: want PORT[/tcp|/udp]", s)
	}
	return Parse(s)
}

// Families returns the ports with an address each: a port published on all
// addresses of the host becomes one for IPv4 and, if the container has IPv6,
// one for IPv6.
func Families(list []Port, ipv6 bool) []Port {
	var all []Port
	for _, p := range list {
		if p.HostIP.IsValid() {
			all = append(all, p)
			continue
		}
		p.HostIP = netip.IPv4Unspecified()
		all = append(all, p)
		if ipv6 {
			p.HostIP = netip.IPv6Unspecified()
			all = append(all, p)
		}
	}
	return all
}
