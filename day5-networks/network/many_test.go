package network

import (
	"net/netip"
	"strings"
	"testing"

	"example.com/go-docker/day5-networks/firewall"
)

// Many published ports are more than fit into a socket's buffer, or
// into one attribute of netlink. It must all come in one transaction, whoever has
// taken our tables away, or no container could be connected or removed any more.
func TestManyPortsPublished(t *testing.T) {
	tables, err := firewall.Open("go-docker-many")
	if err != nil {
		t.Fatal(err)
	}
	defer tables.Close()
	to := netip.MustParseAddr("10.9.0.2")
	e := firewall.Endpoint{Link: "gdvmany1", MAC: parseMAC(t, "02:42:0a:09:00:02"), Addresses: []netip.Addr{to}}
	for port := range uint16(12000) {
		for _, protocol := range []string{"tcp", "udp"} {
			e.Forwards = append(e.Forwards, firewall.Forward{
				Protocol: protocol, From: netip.AddrPortFrom(netip.IPv4Unspecified(), port+1), To: netip.AddrPortFrom(to, port+1)})
		}
	}
	d := firewall.Description{Prefix: "gdvmany", Networks: []firewall.Network{{
		Bridge: "gd-many", Subnets: []netip.Prefix{netip.MustParsePrefix("10.9.0.0/24")}, Gateways: []netip.Addr{netip.MustParseAddr("10.9.0.1")}}}}
	published := func() int {
		return strings.Count(netns{}.run(t, "nft", "list", "map", "inet", "go-docker-many", "publish4"), ": 10.9.0.2 .")
	}
	mark, err := tables.Replace(d)
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		come, gone []firewall.Endpoint
		want       int
	}{
		{come: []firewall.Endpoint{e}, want: len(e.Forwards)},
		{gone: []firewall.Endpoint{e}, want: 0},
	} {
		var done bool
		if mark, done, err = tables.Change(mark, d, step.come, step.gone); err != nil || !done {
			t.Fatalf("%d to come, %d to go: %v, %v", len(step.come), len(step.gone), done, err)
		}
		if got := published(); got != step.want {
			t.Errorf("%d ports, want %d", got, step.want)
		}
	}
	d.Endpoints = []firewall.Endpoint{e}
	if _, err := tables.Replace(d); err != nil {
		t.Errorf("%.200s", err)
	} else if got := published(); got != len(e.Forwards) {
		t.Errorf("%d ports, want %d", got, len(e.Forwards))
	}
	if _, err := tables.Replace(firewall.Description{}); err != nil {
		t.Error(err)
	}
}
