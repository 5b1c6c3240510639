package firewall

import (
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// route fills the table of the family inet. The chains are in the order in
// which a packet meets them. An accept is final only in this table: another
// program's chain at the same hook may still drop the packet, see
// machine.Foreign. nft(8), VERDICT STATEMENTS
func (w *writer) route(d Description) error {
	w.conn.AddTable(w.table)
	var bridges, internal, pairs []nftables.SetElement
	for _, n := range d.Networks {
		name := linkName(n.Bridge)
		bridges = append(bridges, nftables.SetElement{Key: name})
		pairs = append(pairs, nftables.SetElement{Key: slices.Concat(name, name)})
		if n.Internal {
			internal = append(internal, nftables.SetElement{Key: name})
		}
	}
	s := sets{
		bridges:  w.set("bridges", nftables.TypeIFName, none, bridges),
		internal: w.set("internal", nftables.TypeIFName, none, internal),
		same:     w.set("same", nftables.MustConcatSetType(nftables.TypeIFName, nftables.TypeIFName), none, pairs),
	}
	w.loopbackStays(s)
	w.translate(d)
	w.input(s, d)
	w.forward(s, d)
	w.leave(s, d)
	return w.err
}

// sets are the sets that several chains use.
type sets struct {
	bridges  *nftables.Set
	internal *nftables.Set
	same     *nftables.Set // each bridge's name twice: in and out
}

var none nftables.SetDatatype // the data type of a set that is not a map

// loopbackStays drops packets from a network to 127.0.0.0/8. The kernel does
// that by itself, unless a link has route_localnet. CVE-2020-8558
func (w *writer) loopbackStays(s sets) {
	c := w.chain("loopback", nftables.ChainTypeFilter, nftables.ChainHookPrerouting, nftables.ChainPriorityRaw)
	v4 := versions[0]
	w.rule(c, from(s.bridges), v4.is(), v4.destIn(v4.loopback), drop)
}

// translate sends packets for a published port to its container, whether they
// come from outside, from a container, or from this machine. Packets from this
// machine to itself pass output first, and only the first chain of type nat
// that a connection meets can change its address.
func (w *writer) translate(d Description) {
	chains := []*nftables.Chain{
		w.chain("prerouting", nftables.ChainTypeNAT, nftables.ChainHookPrerouting, nftables.ChainPriorityNATDest),
		w.chain("output", nftables.ChainTypeNAT, nftables.ChainHookOutput, nftables.ChainPriorityNATDest),
	}
	for _, v := range versions {
		onOne, onEvery := w.fill(published(v, true), d.Endpoints), w.fill(published(v, false), d.Endpoints)
		for _, c := range chains {
			if v.number == 6 || c.Name == "prerouting" {
				// Nothing for loopback may come in from outside: without this,
				// the destination of a LAN neighbour's packet would be changed
				// before the kernel could drop it. And ::1 has no
				// route_localnet, so replies would be dropped. Left alone, the
				// connection is refused, and a client of localhost then tries
				// 127.0.0.1.
				w.rule(c, v.is(), v.destIn(v.loopback), accept)
			}
			w.rule(c, v.is(), loadService, part{v.loadDest(first + 2)}, v.sendTo(onOne))
			w.rule(c, v.is(), local(), loadService, v.sendTo(onEvery))
		}
	}
}

// A service is a protocol and a port. loadService loads a packet's destination;
// key is that of a published port.
var (
	service     = []nftables.SetDatatype{nftables.TypeInetProto, nftables.TypeInetService}
	loadService = part{meta(expr.MetaKeyL4PROTO, first), load(expr.PayloadBaseTransportHeader, 2, 2, first+1)}
)

func (f Forward) key() []byte {
	return slices.Concat([]byte{protocol(f.Protocol), 0, 0, 0}, port(f.From.Port()))
}

// sendTo looks up a packet's new destination and sends it there.
func (v version) sendTo(targets *nftables.Set) part {
	return part{
		&expr.Lookup{SourceRegister: first, DestRegister: first, IsDestRegSet: true, SetName: targets.Name, SetID: targets.ID},
		&expr.NAT{Type: expr.NATTypeDestNAT, Family: uint32(v.family), RegAddrMin: first, RegProtoMin: first + v.bytes/4},
	}
}

// The kind of link through which a packet comes in or leaves: NFT_META_IIFKIND
// and NFT_META_OIFKIND in linux/netfilter/nf_tables.h.
const (
	inKind  expr.MetaKey = 26
	outKind expr.MetaKey = 27
)

// input reserves a gateway's address for its own network, so that a server
// there, such as the resolver, answers nobody else. An internal network can
// reach nothing else on this machine.
func (w *writer) input(s sets, d Description) {
	c := w.chain("input", nftables.ChainTypeFilter, nftables.ChainHookInput, nftables.ChainPriorityFilter)
	w.rule(c, fromLink("lo"), accept)
	for _, v := range versions {
		var own, all []nftables.SetElement
		for _, n := range d.Networks {
			for _, g := range n.Gateways {
				if v.has(g) {
					own = append(own, nftables.SetElement{Key: slices.Concat(linkName(n.Bridge), g.AsSlice())})
					all = append(all, nftables.SetElement{Key: g.AsSlice()})
				}
			}
		}
		gateways := w.set("gateways"+v.suffix, v.address, none, all)
		mine := w.set("own-gateway"+v.suffix, nftables.MustConcatSetType(nftables.TypeIFName, v.address), none, own)
		w.rule(c, v.is(), part{meta(expr.MetaKeyIIFNAME, first), v.loadDest(first + 4), in(mine)}, accept)
		w.rule(c, v.is(), part{v.loadDest(first), in(gateways)}, drop)
	}
	// IPv6 finds neighbours by ICMPv6, at multicast addresses. RFC 4861
	w.rule(c, carries(unix.IPPROTO_ICMPV6), accept)
	w.rule(c, from(s.internal), drop)
}

// forward decides about packets routed through this machine and, with
// bridge-nf-call-iptables, about frames that a bridge passes on.
func (w *writer) forward(s sets, d Description) {
	c := w.chain("forward", nftables.ChainTypeFilter, nftables.ChainHookForward, nftables.ChainPriorityFilter)
	w.rule(c, part{meta(expr.MetaKeyIIFNAME, first), meta(expr.MetaKeyOIFNAME, first+4), in(s.same)}, accept)
	w.rule(c, from(s.internal), drop)
	w.rule(c, to(s.internal), drop)
	w.rule(c, state(expr.CtStateBitESTABLISHED|expr.CtStateBitRELATED), accept)
	w.rule(c, to(s.bridges), translated(), accept)
	// The rest is for ports that are not published, and comes from outside by a
	// route or from another network.
	w.rule(c, to(s.bridges), drop)
	w.rule(c, from(s.bridges), accept)
	for _, prefix := range d.Kin {
		w.rule(c, begins(expr.MetaKeyIIFNAME, prefix), accept)
		w.rule(c, begins(expr.MetaKeyOIFNAME, prefix), accept)
	}
	// Frames that other people's bridges pass on come through this hook, too.
	bridge := linkName("bridge")
	w.rule(c, part{meta(inKind, first), equal(bridge), meta(outKind, first), equal(bridge)}, accept)
	for _, v := range versions {
		if d.Alone[v.number] {
			w.rule(c, v.is(), drop)
		}
	}
}
