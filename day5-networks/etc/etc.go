// Package etc writes a container's hosts and resolv.conf, and reads the host's.
// It is a room of its own, without a DNS library, because shims need it.
//
// The ladder's 09-names writes a single line of it by hand.
package etc

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
)

const (
	hostFile    = "/etc/resolv.conf"
	systemdFile = "/run/systemd/resolve/resolv.conf" // the servers behind 127.0.0.53
)

// A Conf is the content of a resolv.conf(5).
type Conf struct {
	Servers []netip.Addr
	Search  []string
	Options []string
}

// ParseResolvConf reads a resolv.conf. Like the C library, it ignores what it
// does not understand, and the last search line wins.
func ParseResolvConf(text []byte) Conf {
	var c Conf
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "#") || strings.HasPrefix(line, ";") {
			continue
		}
		words := strings.Fields(line)
		if len(words) < 2 {
			continue
		}
		switch words[0] {
		case "nameserver":
			if a, err := netip.ParseAddr(words[1]); err == nil {
				c.Servers = append(c.Servers, a.Unmap())
			}
		case "search", "domain":
			c.Search = words[1:]
		case "options":
			c.Options = append(c.Options, words[1:]...)
		}
	}
	return c
}

// Upstreams returns the host's own DNS servers. It bypasses systemd-resolved at
// 127.0.0.53, which adds answers of its own.
func Upstreams() []netip.AddrPort { return upstreams(hostFile, systemdFile) }

func upstreams(host, systemd string) []netip.AddrPort {
	text, err := os.ReadFile(host)
	if err != nil {
		return nil // the C library would ask 127.0.0.1, but that is not ours to decide
	}
	servers := ParseResolvConf(text).Servers
	if isStub := func(a netip.Addr) bool { return a == netip.AddrFrom4([4]byte{127, 0, 0, 53}) }; slices.ContainsFunc(servers, isStub) {
		if text, err := os.ReadFile(systemd); err == nil {
			if behind := ParseResolvConf(text).Servers; len(behind) > 0 {
				servers = behind
			}
		}
	}
	return Ports(servers)
}

// Ports adds the DNS port to addresses.
func Ports(servers []netip.Addr) []netip.AddrPort {
	var list []netip.AddrPort
	for _, a := range servers {
		list = append(list, netip.AddrPortFrom(a, 53))
	}
	return list
}

// mostServers is how many servers the C library reads: MAXNS in resolv.conf(5).
const mostServers = 3

// ResolvConf returns a container's resolv.conf. ours are the addresses of our
// own server, if the container has one; host is the host's file; dns are the
// servers that the user asked for instead of the host's. If there is a server of
// ours, it is the one that asks them.
func ResolvConf(ours []netip.Addr, host []byte, dns []netip.Addr) []byte {
	if len(ours)+len(dns) == 0 {
		return host
	}
	c := ParseResolvConf(host)
	c.Servers = dns
	if len(ours) > 0 {
		c.Servers = ours
	}
	// A container's name has no dot, so it must be looked up as it is before
	// any search domain is appended.
	if len(ours) > 0 && !slices.ContainsFunc(c.Options, func(o string) bool { return strings.HasPrefix(o, "ndots:") }) {
		c.Options = append(slices.Clone(c.Options), "ndots:0")
	}
	var out bytes.Buffer
	for _, a := range c.Servers[:min(len(c.Servers), mostServers)] {
		fmt.Fprintln(&out, "nameserver", a)
	}
	if len(c.Search) > 0 {
		fmt.Fprintln(&out, "search", strings.Join(c.Search, " "))
	}
	if len(c.Options) > 0 {
		fmt.Fprintln(&out, "options", strings.Join(c.Options, " "))
	}
	return out.Bytes()
}

// Hosts returns a container's hosts(5): its own names at its addresses, or at
// 127.0.1.1 if it has none, and then the lines in more.
func Hosts(addresses []netip.Addr, names []string, more string) []byte {
	var out bytes.Buffer
	fmt.Fprint(&out, "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n")
	if len(addresses) == 0 {
		addresses = []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 1, 1})}
	}
	for _, a := range addresses {
		fmt.Fprintf(&out, "%s\t%s\n", a, strings.Join(names, " "))
	}
	fmt.Fprint(&out, more)
	return out.Bytes()
}
