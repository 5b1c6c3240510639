package firewall

import (
	"net/netip"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// ICMPv6 messages. A container must send no router advertisements and no
// redirects, because it is not a router. RFC 4861, sections 4.2, 4.4 and 4.5
const (
	routerAdvertisement    = 134
	neighbourAdvertisement = 136
	redirect               = 137
)

// guard fills the table of the family bridge. It drops everything from a link
// whose name has our prefix, except for known endpoints. From those it lets
// through only packets with the container's own IP and Ethernet addresses,
// which in ARP and neighbour discovery must also be the ones that the message
// announces. So no container can get another's packets. Anything that is
// neither IP nor ARP is dropped, VLAN tags included.
//
// It also drops what a container sends to the host's Ethernet address for the
// networks' own addresses: nobody there needs a router. The host would ask for
// each of them who has it, and the whole machine has one table of neighbours,
// 1,024 entries at most. arp(7), gc_thresh3
func (w *writer) guard(d Description) error {
	w.conn.AddTable(w.table)
	c := w.chain("guard", nftables.ChainTypeFilter, nftables.ChainHookPrerouting, nftables.ChainPriorityRaw)
	v4, v6 := versions[0], versions[1]
	known4 := w.fill(known(v4), d.Endpoints)
	known6 := w.fill(known(v6), d.Endpoints)

	w.rule(c, part{meta(expr.MetaKeyIIFNAME, first),
		&expr.Cmp{Op: expr.CmpOpNeq, Register: first, Data: []byte(d.Prefix)}}, accept)
	w.rule(c, ether(unix.ETH_P_IP), toHost, part{v4.loadDest(first), in(w.neighbours(v4, d.Networks))}, drop)
	w.rule(c, ether(unix.ETH_P_IPV6), toHost, part{v6.loadDest(first), in(w.neighbours(v6, d.Networks))}, drop)
	w.rule(c, ether(unix.ETH_P_IP), sender(v4.loadSource(first+6)), part{in(known4)}, accept)
	// arp(7); offsets in the packet: 8 for the sender's Ethernet address, 14
	// for its IPv4 address
	address := load(expr.PayloadBaseNetworkHeader, 14, 4, first+6)
	w.rule(c, ether(unix.ETH_P_ARP), sender(address), part{in(known4),
		load(expr.PayloadBaseNetworkHeader, 8, 6, first+4), in(known4)}, accept)
	for _, kind := range []byte{routerAdvertisement, redirect} {
		w.rule(c, ether(unix.ETH_P_IPV6), icmp(kind), drop)
	}
	// The advertised address may be in a later fragment, where no rule sees it.
	// With bridge-nf-call-ip6tables the bridge reassembles fragments, so the
	// neighbour cannot tell that there were any. RFC 6980
	target := load(expr.PayloadBaseTransportHeader, 8, 16, first+6)
	w.rule(c, ether(unix.ETH_P_IPV6), icmp(neighbourAdvertisement), sender(target), part{in(known6),
		v6.loadSource(first + 6), in(known6)}, accept)
	w.rule(c, ether(unix.ETH_P_IPV6), icmp(neighbourAdvertisement), drop)
	w.rule(c, ether(unix.ETH_P_IPV6), sender(v6.loadSource(first+6)), part{in(known6)}, accept)
	w.rule(c, drop)
	return w.err
}

// toHost matches frames that the host takes for its own, whether they have the
// bridge's Ethernet address or that of the port: only those does it route. The
// bridge has seen to that before this hook. br_handle_frame in
// net/bridge/br_input.c
var toHost = part{meta(expr.MetaKeyPKTTYPE, first), equal([]byte{unix.PACKET_HOST})}

// neighbours adds the set of addresses that are on networks and not the host's.
func (w *writer) neighbours(v version, networks []Network) *nftables.Set {
	hosts := map[netip.Prefix][]netip.Addr{} // several bridges have addresses in fe80::/64
	for _, n := range networks {
		for _, a := range n.Addresses {
			if v.has(a.Addr()) {
				hosts[a.Masked()] = append(hosts[a.Masked()], a.Addr())
			}
		}
	}
	var elements []nftables.SetElement
	for p, own := range hosts {
		slices.SortFunc(own, netip.Addr.Compare)
		from := p.Addr()
		for _, a := range append(own, after(p)) {
			if from != a {
				elements = append(elements, nftables.SetElement{Key: from.AsSlice()}, nftables.SetElement{Key: a.AsSlice(), IntervalEnd: true})
			}
			from = a.Next()
		}
	}
	return w.ranges("neighbours"+v.suffix, v.address, elements)
}

// known is the set of endpoints' addresses: link, Ethernet address, IP address.
func known(v version) elastic {
	return elastic{
		name: "known" + v.suffix,
		key:  nftables.MustConcatSetType(nftables.TypeIFName, nftables.TypeEtherAddr, v.address),
		of: func(e Endpoint) (elements []nftables.SetElement) {
			for _, a := range e.Addresses {
				if v.has(a) {
					elements = append(elements, nftables.SetElement{Key: slices.Concat(linkName(e.Link), e.MAC, []byte{0, 0}, a.AsSlice())})
				}
			}
			return elements
		},
	}
}

// sender loads the link and the Ethernet address that a frame comes from, and
// an address.
func sender(address expr.Any) part {
	return part{meta(expr.MetaKeyIIFNAME, first), load(expr.PayloadBaseLLHeader, 6, 6, first+4), address}
}

// ether matches a frame's EtherType. The kernel removes a VLAN tag from the
// frame and remembers it. These bytes then show the tag, while "meta protocol"
// would give the type after it. nft_payload_copy_vlan in
// net/netfilter/nft_payload.c
func ether(kind uint16) part {
	return part{load(expr.PayloadBaseLLHeader, 12, 2, first), equal([]byte{byte(kind >> 8), byte(kind)})}
}

// icmp matches a type of ICMPv6 message.
func icmp(kind byte) part {
	return append(carries(unix.IPPROTO_ICMPV6),
		load(expr.PayloadBaseTransportHeader, 0, 1, first), equal([]byte{kind}))
}
