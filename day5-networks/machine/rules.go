package machine

import (
	"bytes"
	"reflect"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/xt"
	"golang.org/x/sys/unix"
)

// A part of a rule, or all of it.
type part = []expr.Any

// wanted returns the rules in a form that iptables -S can show: -i BRIDGE and
// -o BRIDGE in FORWARD, and --dport 53, for names, in INPUT.
func wanted(hook nftables.ChainHook, bridge string) (rules []part) {
	match := func(key expr.MetaKey) part {
		return part{&expr.Meta{Key: key, Register: unix.NFT_REG_1}, &expr.Cmp{Op: expr.CmpOpEq, Register: unix.NFT_REG_1, Data: []byte(bridge + "\x00")}}
	}
	end := part{&expr.Counter{}, &expr.Verdict{Kind: expr.VerdictAccept}}
	if hook == *nftables.ChainHookForward {
		return []part{slices.Concat(match(expr.MetaKeyIIFNAME), end), slices.Concat(match(expr.MetaKeyOIFNAME), end)}
	}
	dns, all := [2]uint16{53, 53}, [2]uint16{0, 65535}
	for _, p := range []struct {
		number byte
		match  expr.Match
	}{
		{unix.IPPROTO_UDP, expr.Match{Name: "udp", Info: &xt.Udp{SrcPorts: all, DstPorts: dns}}},
		{unix.IPPROTO_TCP, expr.Match{Name: "tcp", Info: &xt.Tcp{SrcPorts: all, DstPorts: dns}}},
	} {
		protocol := part{&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: unix.NFT_REG_1}, &expr.Cmp{Op: expr.CmpOpEq, Register: unix.NFT_REG_1, Data: []byte{p.number}}}
		rules = append(rules, slices.Concat(match(expr.MetaKeyIIFNAME), protocol, part{&p.match}, end))
	}
	return rules
}

// same reports whether two rules are the same, apart from counts and from zeros
// at the end of names.
func same(a, b part) bool {
	return slices.EqualFunc(a, b, func(a, b expr.Any) bool {
		switch a := a.(type) {
		case *expr.Meta:
			b, ok := b.(*expr.Meta)
			return ok && a.Key == b.Key
		case *expr.Cmp:
			b, ok := b.(*expr.Cmp)
			return ok && a.Op == b.Op && bytes.Equal(bytes.TrimRight(a.Data, "\x00"), bytes.TrimRight(b.Data, "\x00"))
		case *expr.Match:
			b, ok := b.(*expr.Match)
			return ok && a.Name == b.Name && reflect.DeepEqual(a.Info, b.Info)
		case *expr.Verdict:
			b, ok := b.(*expr.Verdict)
			return ok && a.Kind == b.Kind
		case *expr.Counter:
			_, ok := b.(*expr.Counter)
			return ok
		}
		return false
	})
}

// final reports whether a rule drops or rejects everything.
func final(r *nftables.Rule) bool {
	for _, e := range r.Exprs {
		switch e := e.(type) {
		case *expr.Counter:
		case *expr.Reject:
			return true
		case *expr.Target: // of iptables
			return e.Name == "REJECT"
		case *expr.Verdict:
			return e.Kind == expr.VerdictDrop
		default:
			return false
		}
	}
	return false
}

// xtables reports whether a chain was made by iptables-nft.
func xtables(chain *nftables.Chain) bool {
	return chain.Table.Family != nftables.TableFamilyINet && chain.Table.Name == "filter" &&
		(chain.Name == "FORWARD" || chain.Name == "INPUT")
}

// mentions reports whether a rule in a table mentions a link.
func (f *foreign) mentions(table *nftables.Table, link string) bool {
	chains, err := f.conn.ListChainsOfTableFamily(table.Family)
	if err != nil {
		return false
	}
	for _, chain := range chains {
		rules, err := f.conn.GetRules(table, chain)
		if err != nil || chain.Table.Name != table.Name {
			continue
		}
		for _, r := range rules {
			for _, e := range r.Exprs {
				if c, ok := e.(*expr.Cmp); ok && string(bytes.TrimRight(c.Data, "\x00")) == link {
					return true
				}
			}
		}
	}
	return false
}
