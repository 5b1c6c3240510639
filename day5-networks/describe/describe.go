// Package describe says what is on the disk of networks and containers in the
// words of those who make it in the kernel: link and firewall. It touches neither.
//
// In the steps 06-bridge and 08-publish the same stands in the commands.
package describe

import (
	"net/netip"

	"example.com/go-docker/day5-networks/address"
	"example.com/go-docker/day5-networks/endpoint"
	"example.com/go-docker/day5-networks/firewall"
	"example.com/go-docker/day5-networks/link"
	"example.com/go-docker/day5-networks/netstate"
)

// Bridge describes a network's bridge.
func Bridge(c *netstate.Config) link.Bridge {
	b := link.Bridge{Name: c.Bridge, MAC: address.MAC(c.Gateways[0]), MTU: c.MTU}
	for i, subnet := range c.Subnets {
		b.Addresses = append(b.Addresses, netip.PrefixFrom(c.Gateways[i], subnet.Bits()))
	}
	if len(c.Subnets) > 1 {
		// While the kernel checked one of its own for duplicates, for a second or
		// two, it would not ask for neighbours, and lose what is for them.
		b.Addresses = append(b.Addresses, netip.PrefixFrom(address.LinkLocal(b.MAC), 64))
	}
	return b
}

// Pair describes an endpoint's links, to the bridge with that name.
func Pair(e *endpoint.Endpoint, bridge string) link.Pair {
	return link.Pair{
		Bridge: bridge, Host: e.HostInterface, Container: e.Interface,
		MAC: e.Ethernet(), Addresses: e.LinkAddresses(), Gateways: e.Gateways,
	}
}

// Network describes what the firewall must know of a network.
func Network(c *netstate.Config) firewall.Network {
	n := firewall.Network{Bridge: c.Bridge, Subnets: c.Subnets, Gateways: c.Gateways, Internal: c.Internal}
	if c.Damaged == nil {
		n.Addresses = Bridge(c).Addresses
	}
	return n
}

// Endpoints describes what the firewall must know of containers. Their records are
// loaded.
func Endpoints(records []*endpoint.Record) (all []firewall.Endpoint) {
	for _, r := range records {
		e := firewall.Endpoint{Link: r.HostInterface, MAC: r.Ethernet(), Forwards: forwards(&r.Endpoint)}
		for _, a := range r.LinkAddresses() {
			e.Addresses = append(e.Addresses, a.Addr())
		}
		all = append(all, e)
	}
	return all
}

// UDPPorts are the ports of the host whose old flows must come to an end.
func UDPPorts(records []*endpoint.Record) (all []uint16) {
	for _, r := range records {
		for _, p := range r.Ports {
			if p.Protocol == "udp" {
				all = append(all, p.HostPort)
			}
		}
	}
	return all
}

// forwards are the endpoint's published ports, each for every version of IP that
// both the host's address and the container have; no address is all of them.
func forwards(e *endpoint.Endpoint) (all []firewall.Forward) {
	every := map[bool]netip.Addr{true: netip.IPv4Unspecified(), false: netip.IPv6Unspecified()}
	for _, p := range e.Ports {
		for _, a := range e.Addresses {
			from := p.HostIP
			if !from.IsValid() {
				from = every[a.Addr().Is4()]
			}
			if from.Is4() == a.Addr().Is4() {
				all = append(all, firewall.Forward{Protocol: p.Protocol, From: netip.AddrPortFrom(from, p.HostPort), To: netip.AddrPortFrom(a.Addr(), p.Port)})
			}
		}
	}
	return all
}
