package firewall

import (
	"net/netip"

	"github.com/google/nftables"

	"example.com/go-docker/day5-networks/address"
)

// leave changes the source address of packets whose replies would not find
// their way back.
func (w *writer) leave(s sets, d Description) {
	c := w.chain("postrouting", nftables.ChainTypeNAT, nftables.ChainHookPostrouting, nftables.ChainPriorityNATSource)
	for _, v := range versions {
		subnets := w.ranges("subnets"+v.suffix, v.address, v.prefixes(d.Networks))
		fromSubnet := part{v.loadSource(first), in(subnets)}
		// To the outside, where nobody has a route to the container. Packets
		// through lo are this machine's own, from a gateway's address to
		// itself.
		w.rule(c, v.is(), fromSubnet, notToLink("lo"), notTo(s.bridges), masquerade)
		// From a container to a published port: the reply would go straight to
		// the sender, not through us, and come from an address that it has not
		// asked.
		w.rule(c, v.is(), fromSubnet, to(s.bridges), translated(), masquerade)
		// From 127.0.0.1 to a published port: inside the container, 127.0.0.1
		// is the container itself.
		w.rule(c, v.is(), v.sourceIn(v.loopback), to(s.bridges), masquerade)
	}
}

// prefixes returns the networks' subnets as pairs of elements: the first
// address of each, and the first one after it.
func (v version) prefixes(networks []Network) (elements []nftables.SetElement) {
	for _, n := range networks {
		for _, p := range n.Subnets {
			if !v.has(p.Addr()) || n.Internal {
				continue
			}
			elements = append(elements, nftables.SetElement{Key: p.Addr().AsSlice()})
			if after := after(p); after.IsValid() {
				elements = append(elements, nftables.SetElement{Key: after.AsSlice(), IntervalEnd: true})
			}
		}
	}
	return elements
}

// after returns the first address after a prefix, or none if it is the last
// prefix.
func after(p netip.Prefix) netip.Addr { return address.Last(p).Next() }
