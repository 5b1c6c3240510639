package firewall

import (
	"encoding/binary"
	"net/netip"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// A part of a rule loads something into registers, looks it up or compares it,
// or decides about the packet. If the packet does not match, the rule ends
// there.
//
// The registers used here have 4 bytes, and the first is number 8. A key of
// several parts is in consecutive registers. linux/netfilter/nf_tables.h,
// nft_registers
type part = []expr.Any

const first = unix.NFT_REG32_00

var (
	accept     = part{&expr.Verdict{Kind: expr.VerdictAccept}}
	drop       = part{&expr.Verdict{Kind: expr.VerdictDrop}}
	masquerade = part{&expr.Masq{}}
)

func meta(key expr.MetaKey, register uint32) expr.Any {
	return &expr.Meta{Key: key, Register: register}
}

func equal(value []byte) expr.Any {
	return &expr.Cmp{Op: expr.CmpOpEq, Register: first, Data: value}
}

// in looks up what is in the registers.
func in(s *nftables.Set) expr.Any {
	return &expr.Lookup{SourceRegister: first, SetName: s.Name, SetID: s.ID}
}

func notIn(s *nftables.Set) expr.Any {
	return &expr.Lookup{SourceRegister: first, SetName: s.Name, SetID: s.ID, Invert: true}
}

// from and to match a packet by the link through which it came in or leaves.
func from(s *nftables.Set) part  { return part{meta(expr.MetaKeyIIFNAME, first), in(s)} }
func to(s *nftables.Set) part    { return part{meta(expr.MetaKeyOIFNAME, first), in(s)} }
func notTo(s *nftables.Set) part { return part{meta(expr.MetaKeyOIFNAME, first), notIn(s)} }

func notToLink(name string) part {
	return part{meta(expr.MetaKeyOIFNAME, first), &expr.Cmp{Op: expr.CmpOpNeq, Register: first, Data: linkName(name)}}
}

// begins matches a link by the beginning of its name.
func begins(key expr.MetaKey, prefix string) part {
	return part{meta(key, first), equal([]byte(prefix))}
}

func fromLink(name string) part {
	return part{meta(expr.MetaKeyIIFNAME, first), equal(linkName(name))}
}

// carries matches a transport protocol.
func carries(protocol byte) part {
	return part{meta(expr.MetaKeyL4PROTO, first), equal([]byte{protocol})}
}

// load takes bytes of a header into a register.
func load(base expr.PayloadBase, offset, bytes, register uint32) expr.Any {
	return &expr.Payload{Base: base, Offset: offset, Len: bytes, DestRegister: register}
}

// state matches a packet by the state of its connection. nft(8), CONNTRACK
func state(bits uint32) part { return conntrack(expr.CtKeySTATE, bits) }

// translated matches packets of connections whose destination was changed:
// IPS_DST_NAT, linux/netfilter/nf_conntrack_common.h
func translated() part { return conntrack(expr.CtKeySTATUS, 1<<5) }

func conntrack(key expr.CtKey, bits uint32) part {
	return part{
		&expr.Ct{Key: key, Register: first},
		&expr.Bitwise{SourceRegister: first, DestRegister: first, Len: 4, Mask: binaryutil.NativeEndian.PutUint32(bits), Xor: make([]byte, 4)},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: first, Data: make([]byte, 4)},
	}
}

// local matches packets addressed to this machine. nft(8), FIB EXPRESSIONS
func local() part {
	return part{
		&expr.Fib{Register: first, FlagDADDR: true, ResultADDRTYPE: true},
		equal(binaryutil.NativeEndian.PutUint32(unix.RTN_LOCAL)),
	}
}

// A version of IP: where its header has the addresses, and what sets call their
// type.
type version struct {
	number           int
	family           byte
	source, dest     uint32 // offsets in the header, bytes
	bytes            uint32 // of an address
	address          nftables.SetDatatype
	loopback, suffix string
}

var versions = []version{
	{4, unix.NFPROTO_IPV4, 12, 16, 4, nftables.TypeIPAddr, "127.0.0.0/8", "4"},
	{6, unix.NFPROTO_IPV6, 8, 24, 16, nftables.TypeIP6Addr, "::1/128", "6"},
}

// has reports whether the address is of this version.
func (v version) has(a netip.Addr) bool { return a.Is4() == (v.number == 4) }

// is matches packets of this version in the family inet.
func (v version) is() part {
	return part{meta(expr.MetaKeyNFPROTO, first), equal([]byte{v.family})}
}

func (v version) loadSource(register uint32) expr.Any {
	return load(expr.PayloadBaseNetworkHeader, v.source, v.bytes, register)
}

func (v version) loadDest(register uint32) expr.Any {
	return load(expr.PayloadBaseNetworkHeader, v.dest, v.bytes, register)
}

// sourceIn and destIn match an address against a prefix.
func (v version) sourceIn(prefix string) part { return v.inPrefix(v.loadSource(first), prefix) }
func (v version) destIn(prefix string) part   { return v.inPrefix(v.loadDest(first), prefix) }

func (v version) inPrefix(load expr.Any, prefix string) part {
	p := netip.MustParsePrefix(prefix)
	mask := make([]byte, v.bytes)
	for bit := range p.Bits() {
		mask[bit/8] |= 1 << (7 - bit%8)
	}
	return part{
		load,
		&expr.Bitwise{SourceRegister: first, DestRegister: first, Len: v.bytes, Mask: mask, Xor: make([]byte, v.bytes)},
		equal(p.Addr().AsSlice()),
	}
}

// linkName returns a link's name as the kernel compares it, in 16 bytes.
func linkName(name string) []byte {
	bytes := make([]byte, unix.IFNAMSIZ)
	copy(bytes, name)
	return bytes
}

// port returns a port as in a header, in a register of its own.
func port(number uint16) []byte {
	return append(binary.BigEndian.AppendUint16(nil, number), 0, 0)
}
