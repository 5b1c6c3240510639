package firewall

import (
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// ICMPv6 messages that a container has no business to send: it is no router.
// RFC 4861, sections 4.2 and 4.5
const (
	routerAdvertisement    = 134
	neighbourAdvertisement = 136
	redirect               = 137
)

// guard fills the table of the family bridge. Nothing comes out of a link whose
// name begins as ours do, unless there are rules for it. And then out of a container comes only what
// has the container's own addresses, the Ethernet address too, and in ARP and
// neighbour discovery those that a message is about. So no container gets what
// is for another. What is neither IP nor ARP is dropped, VLAN tags included.
func (w *writer) guard(d Description) error {
	w.conn.AddTable(w.table)
	c := w.chain("guard", nftables.ChainTypeFilter, nftables.ChainHookPrerouting, nftables.ChainPriorityRaw)
	v4, v6 := versions[0], versions[1]
	known4 := w.fill(known(v4), d.Endpoints)
	known6 := w.fill(known(v6), d.Endpoints)

	w.rule(c, part{meta(expr.MetaKeyIIFNAME, first),
		&expr.Cmp{Op: expr.CmpOpNeq, Register: first, Data: []byte(d.Prefix)}}, accept)
	w.rule(c, ether(unix.ETH_P_IP), sender(v4.loadSource(first+6)), part{in(known4)}, accept)
	// arp(7); offsets in the packet: 8 sender's Ethernet address, 14 IPv4 address
	address := load(expr.PayloadBaseNetworkHeader, 14, 4, first+6)
	w.rule(c, ether(unix.ETH_P_ARP), sender(address), part{in(known4),
		load(expr.PayloadBaseNetworkHeader, 8, 6, first+4), in(known4)}, accept)
	for _, kind := range []byte{routerAdvertisement, redirect} {
		w.rule(c, ether(unix.ETH_P_IPV6), icmp(kind), drop)
	}
	// The address that it is about may be in another fragment, where no rule sees
	// it; and with bridge-nf-call-ip6tables the bridge puts fragments together, so
	// that the neighbour does not see that there were any. RFC 6980
	target := load(expr.PayloadBaseTransportHeader, 8, 16, first+6)
	w.rule(c, ether(unix.ETH_P_IPV6), icmp(neighbourAdvertisement), sender(target), part{in(known6),
		v6.loadSource(first + 6), in(known6)}, accept)
	w.rule(c, ether(unix.ETH_P_IPV6), icmp(neighbourAdvertisement), drop)
	w.rule(c, ether(unix.ETH_P_IPV6), sender(v6.loadSource(first+6)), part{in(known6)}, accept)
	w.rule(c, drop)
	return w.err
}

// known are the addresses that endpoints have: link, Ethernet address, IP address.
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

// sender loads the port and the Ethernet address that a frame comes from, and an
// address.
func sender(address expr.Any) part {
	return part{meta(expr.MetaKeyIIFNAME, first), load(expr.PayloadBaseLLHeader, 6, 6, first+4), address}
}

// ether matches what a frame carries. The kernel has taken a VLAN's tag off the
// frame and remembers it; asked for these bytes it shows the tag, where "meta
// protocol" says what comes after it. nft_payload_copy_vlan of
// net/netfilter/nft_payload.c
func ether(kind uint16) part {
	return part{load(expr.PayloadBaseLLHeader, 12, 2, first), equal([]byte{byte(kind >> 8), byte(kind)})}
}

// icmp matches a kind of ICMPv6 message.
func icmp(kind byte) part {
	return append(carries(unix.IPPROTO_ICMPV6),
		load(expr.PayloadBaseTransportHeader, 0, 1, first), equal([]byte{kind}))
}
