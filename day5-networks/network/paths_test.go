package network

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"example.com/go-docker/day5-networks/ports"
)

// refused is what comes back at once where nobody listens.
const refused = "connection refused"

// in is an address as it stands before a port.
func in(a string) string {
	return strings.TrimSuffix(at(a, 0), ":0")
}

// A path is from somewhere to an address, and who shall answer; "": nobody.
type path struct {
	what string
	from netns
	to   string
	who  string
}

func both(host uint16, port uint16) (p []ports.Port) {
	for _, protocol := range []string{"tcp", "udp"} {
		p = append(p, ports.Port{HostPort: host, Port: port, Protocol: protocol})
	}
	return p
}

// tablePaths are the rows of the table, for one version of IP.
func tablePaths(w *world, a, b, c, shut *box, ea, eb, ec, es Endpoint, i int) []path {
	host, lan, loop := []string{hostIP, hostIP6}[i], []string{lanIP, lanIP6}[i], []string{"127.0.0.1", "::1"}[i]
	me := netns{}
	n, err := w.networks.Find(es.Network)
	if err != nil {
		w.Fatal(err)
	}
	shutGateways := n.Gateways
	return []path{
		{"container to another on its network", a.netns, at(eb.Addresses[i], 80), "b"},
		{"container to outside", a.netns, at(lan, 9000), "lan to " + in(host)},
		{"outside to HOST:PORT", w.lan, at(host, 8080), "a to " + in(lan)},
		{"host to its own address:PORT", me, at(host, 8080), "a to " + in(host)},
		{"host to loopback:PORT", me, at(loop, 8080), []string{"a to " + in(ea.Gateways[i].String()), refused}[i]},
		{"host to the container", me, at(ea.Addresses[i], 80), "a"},
		{"host to the gateway's address:PORT", me, at(ea.Gateways[i], 8080), "a"},
		{"container to its own published port", a.netns, at(host, 8080), "a to " + in(ea.Gateways[i].String())},
		{"container to its own published port by the gateway", a.netns, at(ea.Gateways[i], 8080), "a"},
		{"container to its neighbour's published port", b.netns, at(host, 8080), "a"},
		{"container of another network to a published port", c.netns, at(host, 8080), "a"},
		{"outside straight to an unpublished port", w.lan, at(ea.Addresses[i], 81), ""},
		{"outside straight to a published container's port", w.lan, at(ea.Addresses[i], 80), ""},
		{"outside straight to an unpublished container", w.lan, at(eb.Addresses[i], 80), ""},
		{"outside to a gateway's own port", w.lan, at(ea.Gateways[i], 9001), ""},
		{"outside to a port that is not published", w.lan, at(host, 8081), ""},
		{"container of another network", c.netns, at(ea.Addresses[i], 80), ""},
		{"to a container of another network", a.netns, at(ec.Addresses[i], 80), ""},
		{"container to another network's gateway", c.netns, at(ea.Gateways[i], 9001), ""},
		{"container to its own gateway", a.netns, at(ea.Gateways[i], 9001), "host"},
		{"internal to outside", shut.netns, at(lan, 9000), ""},
		{"internal to another network", shut.netns, at(ea.Addresses[i], 80), ""},
		{"internal to the host's other addresses", shut.netns, at(host, 9001), ""},
		{"internal to a published port", shut.netns, at(host, 8080), ""},
		{"internal to its own gateway", shut.netns, at(shutGateways[i], 9001), "host"},
		{"another network to internal", a.netns, at(es.Addresses[i], 80), ""},
		{"outside straight to internal", w.lan, at(es.Addresses[i], 80), ""},
		{"host to internal", me, at(es.Addresses[i], 80), "shut"},
	}
}

// What other people have done to a machine before we come.
var machines = []struct {
	name     string
	bridgeNF string // does netfilter see what a bridge passes on?
	setup    []string
}{
	{"plain", "0", nil},
	{"bridge-nf", "1", nil},
	{"policy DROP", "1", []string{
		"iptables -N DOCKER-USER", "iptables -A FORWARD -j DOCKER-USER", "iptables -A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
		"iptables -P FORWARD DROP", "ip6tables -P FORWARD DROP", "iptables -t nat -A POSTROUTING -s 10.99.0.0/16 -j MASQUERADE",
	}},
	{"last rule REJECT", "1", []string{
		"iptables -A FORWARD -s 10.99.0.0/16 -j ACCEPT", "iptables -A FORWARD -j REJECT", "ip6tables -A FORWARD -j DROP",
		"nft add table inet other", "nft add chain inet other forward { type filter hook forward priority 10 ; policy accept ; }",
		"nft add rule inet other forward ip saddr 10.99.0.1 counter drop",
	}},
}

func TestPaths(t *testing.T) {
	for _, m := range machines {
		t.Run(m.name, func(t *testing.T) {
			w := newWorld(t)
			w.prepare(m.bridgeNF, m.setup)
			w.paths(t)
		})
	}
}

// prepare makes the host one of those machines, and clears it away at the end.
func (w *world) prepare(bridgeNF string, setup []string) {
	w.Helper()
	for _, name := range []string{"iptables", "ip6tables"} {
		path := "/proc/sys/net/bridge/bridge-nf-call-" + name
		if err := os.WriteFile(path, []byte(bridgeNF), 0); err != nil {
			w.Fatal(err)
		}
	}
	for _, line := range setup {
		args := strings.Fields(line)
		netns{}.run(w, args[0], args[1:]...)
	}
	w.before = w.machine()
}

// paths tries every path and prints the table.
func (w *world) paths(t *testing.T) {
	t.Helper()
	one := w.create(Config{Name: "one", IPv6: true})
	w.create(Config{Name: "two", IPv6: true})
	w.create(Config{Name: "closed", IPv6: true, Internal: true})
	a, b, c, shut := w.box("a"), w.box("b"), w.box("c"), w.box("shut")
	ea := a.on(Attachment{Network: "one"}, both(8080, 80)...)
	eb := b.on(Attachment{Network: one.ID[:8]})
	ec := c.on(Attachment{Network: "two"})
	es := shut.on(Attachment{Network: "closed"})
	for _, x := range []*box{a, b, c, shut} {
		x.serve(t, 80, x.Name)
		x.serve(t, 81, x.Name)
	}
	w.lan.serve(t, 9000, "lan")
	netns{}.serve(t, 9001, "host")
	for _, c := range []string{"one", "two", "closed"} { // the LAN's router sends it all to us
		net, _ := w.networks.Find(c)
		w.lan.run(t, "ip", "route", "add", net.Subnets[0].String(), "via", hostIP)
		w.lan.run(t, "ip", "route", "add", net.Subnets[1].String(), "via", hostIP6)
	}
	closed, err := w.networks.Find("closed")
	if err != nil {
		t.Fatal(err)
	}
	for _, gateway := range closed.Gateways { // a container that helps itself to a route
		shut.run(t, "ip", "route", "add", "default", "via", gateway.String())
	}
	var all sync.WaitGroup
	rows := make([]row, 0, 4*30)
	for i, version := range []string{"IPv4", "IPv6"} {
		for _, p := range tablePaths(w, a, b, c, shut, ea, eb, ec, es, i) {
			for _, protocol := range []string{"tcp", "udp"} {
				rows = append(rows, row{path: p, version: version, protocol: protocol})
			}
		}
	}
	for i := range rows {
		all.Go(rows[i].try)
	}
	all.Wait()
	for _, r := range rows {
		if testing.Verbose() {
			fmt.Printf("%-52s %s %s  %.40s\n", r.what, r.version, r.protocol, r.got)
		}
		if !strings.HasPrefix(r.got, r.who) || r.who == "" && r.got != silence && r.got != refused {
			t.Errorf("%s, %s, %s, %s: %q; want %q", r.what, r.version, r.protocol, r.to, r.got, r.who)
		}
	}
	if t.Failed() {
		t.Log(netns{}.run(t, "nft", "list", "ruleset"))
	}
}

// A row of the table, and what came of it.
type row struct {
	path
	version, protocol, got string
}

const silence = "silence"

func (r *row) try() {
	patience := 3 * time.Second
	if r.who == "" {
		patience = 500 * time.Millisecond
	}
	answer, err := r.from.ask(r.protocol, r.to, patience)
	var timeout net.Error
	switch {
	case errors.As(err, &timeout) && timeout.Timeout():
		r.got = silence
	case errors.Is(err, syscall.ECONNREFUSED):
		r.got = refused
	case err != nil:
		r.got = err.Error()
	default:
		r.got = answer
	}
}
