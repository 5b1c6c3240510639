// Package names answers queries for containers' addresses: it is a DNS server
// that knows the names on its clients' networks and asks other servers for the
// rest.
//
// It grew from rung 09-names, adds aliases, IPv6, reverse lookups and TCP, and
// copes with servers that do not answer.
package names

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// ttl is how long, in seconds, our answers may be cached, because a restarted
// container may have another address.
const ttl = 5

// A Table is what one client may know at a given moment.
type Table struct {
	Names    map[string][]netip.Addr // in lower case, without the final dot
	Reverse  map[netip.Addr]string   // the name of each address, likewise
	Prefixes []netip.Prefix          // an address in one of these has no name unless Reverse has it
}

// Add adds a name for some addresses. The first name added for an address is
// the answer to a reverse lookup.
func (t *Table) Add(name string, addresses ...netip.Addr) {
	if t.Names == nil {
		t.Names, t.Reverse = map[string][]netip.Addr{}, map[netip.Addr]string{}
	}
	name = strings.ToLower(name)
	for _, a := range addresses {
		if !slices.Contains(t.Names[name], a) {
			t.Names[name] = append(t.Names[name], a)
		}
		if t.Reverse[a] == "" {
			t.Reverse[a] = name
		}
	}
}

// answer fills in the reply to a question about our own names. It returns false
// for questions that are not ours to answer.
func (t *Table) answer(reply *dns.Msg, q dns.Question) bool {
	name := strings.ToLower(strings.TrimSuffix(q.Name, "."))
	if address, ok := reverseAddress(name); ok {
		return t.answerReverse(reply, q, address)
	}
	addresses, ours := t.Names[name]
	if !ours {
		return false
	}
	// If the name exists but has no address of the type asked for, the reply is
	// not NXDOMAIN: a client that gets that for AAAA does not go on to ask for
	// A. RFC 8020
	for _, a := range addresses {
		head := dns.RR_Header{Name: q.Name, Class: dns.ClassINET, Ttl: ttl}
		switch {
		case a.Is4() && (q.Qtype == dns.TypeA || q.Qtype == dns.TypeANY):
			head.Rrtype = dns.TypeA
			reply.Answer = append(reply.Answer, &dns.A{Hdr: head, A: a.AsSlice()})
		case a.Is6() && (q.Qtype == dns.TypeAAAA || q.Qtype == dns.TypeANY):
			head.Rrtype = dns.TypeAAAA
			reply.Answer = append(reply.Answer, &dns.AAAA{Hdr: head, AAAA: a.AsSlice()})
		}
	}
	return true
}

// answerReverse answers a reverse lookup. Other servers cannot know private
// addresses, so questions about our networks are not passed on. RFC 6303
func (t *Table) answerReverse(reply *dns.Msg, q dns.Question, address netip.Addr) bool {
	name, named := t.Reverse[address]
	switch {
	case named:
		if q.Qtype == dns.TypePTR || q.Qtype == dns.TypeANY {
			head := dns.RR_Header{Name: q.Name, Class: dns.ClassINET, Ttl: ttl, Rrtype: dns.TypePTR}
			reply.Answer = append(reply.Answer, &dns.PTR{Hdr: head, Ptr: dns.Fqdn(name)})
		}
		return true
	case slices.ContainsFunc(t.Prefixes, func(p netip.Prefix) bool { return p.Contains(address) }):
		reply.Rcode = dns.RcodeNameError
		return true
	}
	return false
}

// reverseAddress reads a name like 2.0.18.172.in-addr.arpa, or one of 32 digits
// in ip6.arpa. RFC 1035, section 3.5; RFC 3596, section 2.5
func reverseAddress(name string) (netip.Addr, bool) {
	if labels, ok := strings.CutSuffix(name, ".in-addr.arpa"); ok {
		parts := strings.Split(labels, ".")
		slices.Reverse(parts)
		a, err := netip.ParseAddr(strings.Join(parts, "."))
		return a, err == nil && a.Is4()
	}
	labels, ok := strings.CutSuffix(name, ".ip6.arpa")
	if !ok {
		return netip.Addr{}, false
	}
	digits := strings.Split(labels, ".")
	slices.Reverse(digits)
	var text strings.Builder
	for i, digit := range digits {
		if len(digit) != 1 {
			return netip.Addr{}, false
		}
		if i > 0 && i%4 == 0 {
			text.WriteByte(':')
		}
		text.WriteString(digit)
	}
	a, err := netip.ParseAddr(text.String())
	return a, err == nil && len(digits) == 32 && a.Is6()
}
