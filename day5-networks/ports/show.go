package ports

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Show prints ports as docker ps does: 0.0.0.0:8080->80/tcp, 53/udp. Published
// ports come first, then those that are only exposed; adjacent ones are shown
// as a range.
func Show(published, exposed []Port) string {
	list := slices.Clone(published)
	for _, e := range exposed {
		if !slices.ContainsFunc(published, func(p Port) bool { return p.Port == e.Port && p.Protocol == e.Protocol }) {
			list = append(list, Port{Port: e.Port, Protocol: e.Protocol})
		}
	}
	slices.SortFunc(list, compare)
	list = slices.Compact(list)
	var shown []string
	for i := 0; i < len(list); {
		n := neighbours(list[i:])
		shown = append(shown, showRange(list[i], list[i+n-1]))
		i += n
	}
	return strings.Join(shown, ", ")
}

// compare sorts published ports first, by address, so that adjacent ones come
// together.
func compare(a, b Port) int {
	unpublished := func(p Port) int {
		if p.HostPort == 0 {
			return 1
		}
		return 0
	}
	family := func(ip netip.Addr) int { return ip.BitLen() }
	return cmp.Or(
		unpublished(a)-unpublished(b),
		family(a.HostIP)-family(b.HostIP), a.HostIP.Compare(b.HostIP),
		strings.Compare(a.Protocol, b.Protocol),
		int(a.Port)-int(b.Port), int(a.HostPort)-int(b.HostPort))
}

// neighbours returns how many ports at the start of the list form one range.
func neighbours(list []Port) int {
	first := list[0]
	n := 1
	for ; n < len(list); n++ {
		p, step := list[n], uint16(n)
		want := first.HostPort + step
		if first.HostPort == 0 {
			want = 0
		}
		if p.HostIP != first.HostIP || p.Protocol != first.Protocol || p.Port != first.Port+step || p.HostPort != want {
			break
		}
	}
	return n
}

func showRange(first, last Port) string {
	if first == last {
		return first.String()
	}
	private := fmt.Sprintf("%d-%d/%s", first.Port, last.Port, first.Protocol)
	if first.HostPort == 0 {
		return private
	}
	return fmt.Sprintf("%s-%d->%s", first.Public(), last.HostPort, private)
}
