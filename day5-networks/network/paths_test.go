package network

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
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

// A scene is a world with four containers: a and b on a network, a with port
// 8080 published, c on another one, and shut on an internal one.
type scene struct {
	*world
	a, b, c, shut *box
	ip, gateway   map[*box][2]netip.Addr // IPv4, IPv6
}

// paths are the rows of the table, for one version of IP.
func (s *scene) paths(i int) []path {
	host, lan, loop := []string{hostIP, hostIP6}[i], []string{lanIP, lanIP6}[i], []string{"127.0.0.1", "::1"}[i]
	me, a, b, c := netns{}, s.a, s.b, s.c
	gateway := s.gateway[a][i]
	paths := []path{
		{"container to another on its network", a.netns, at(s.ip[b][i], 80), "b"},
		{"container to outside", a.netns, at(lan, 9000), "lan to " + in(host)},
		{"outside to HOST:PORT", s.lan, at(host, 8080), "a to " + in(lan)},
		{"host to its own address:PORT", me, at(host, 8080), "a to " + in(host)},
		{"host to loopback:PORT", me, at(loop, 8080), []string{"a to " + in(gateway.String()), refused}[i]},
		{"host to the container", me, at(s.ip[a][i], 80), "a"},
		{"host to the gateway's address:PORT", me, at(gateway, 8080), "a"},
		{"container to its own published port", a.netns, at(host, 8080), "a to " + in(gateway.String())},
		{"container to its own published port by the gateway", a.netns, at(gateway, 8080), "a"},
		{"container to its neighbour's published port", b.netns, at(host, 8080), "a"},
		{"container of another network to a published port", c.netns, at(host, 8080), "a"},
		{"outside straight to an unpublished port", s.lan, at(s.ip[a][i], 81), ""},
		{"outside straight to a published container's port", s.lan, at(s.ip[a][i], 80), ""},
		{"outside straight to an unpublished container", s.lan, at(s.ip[b][i], 80), ""},
		{"outside to a gateway's own port", s.lan, at(gateway, 9001), ""},
		{"outside to a port that is not published", s.lan, at(host, 8081), refused},
		{"container of another network", c.netns, at(s.ip[a][i], 80), ""},
		{"to a container of another network", a.netns, at(s.ip[c][i], 80), ""},
		{"container to another network's gateway", c.netns, at(gateway, 9001), ""},
		{"container to its own gateway", a.netns, at(gateway, 9001), "host"},
	}
	if s.shut == nil {
		return paths
	}
	return append(paths, []path{
		{"internal to outside", s.shut.netns, at(lan, 9000), ""},
		{"internal to another network", s.shut.netns, at(s.ip[a][i], 80), ""},
		{"internal to the host's other addresses", s.shut.netns, at(host, 9001), ""},
		{"internal to a published port", s.shut.netns, at(host, 8080), ""},
		{"internal to its own gateway", s.shut.netns, at(s.gateway[s.shut][i], 9001), "host"},
		{"another network to internal", a.netns, at(s.ip[s.shut][i], 80), ""},
		{"outside straight to internal", s.lan, at(s.ip[s.shut][i], 80), ""},
		{"host to internal", me, at(s.ip[s.shut][i], 80), "shut"},
	}...)
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
			s := w.scene()
			for _, r := range s.try(m.name == "plain" && testing.Verbose()) {
				if !r.ok() {
					t.Errorf("%s, %s, %s, %s: %q; want %q", r.what, r.version, r.protocol, r.to, r.got, r.who)
				}
			}
			if t.Failed() {
				t.Log(netns{}.run(t, "nft", "list", "ruleset"))
			}
		})
	}
}

// prepare makes the host one of those machines, and clears it away at the end.
func (w *world) prepare(bridgeNF string, setup []string) {
	w.Helper()
	const bridges = "/proc/sys/net/bridge"
	if _, err := os.Stat(bridges); err != nil && bridgeNF == "1" && os.Getenv("GO_DOCKER_MUST_RUN") == "1" {
		netns{}.run(w, "modprobe", "br_netfilter") // for all of this machine, which is therefore asked for
	}
	for _, name := range []string{"iptables", "ip6tables"} {
		path := bridges + "/bridge-nf-call-" + name
		if _, err := os.Stat(path); err != nil { // netfilter sees nothing of bridges
			if bridgeNF == "1" {
				w.Skip("the module br_netfilter is not loaded")
			}
			continue
		}
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

// scene makes ours.
func (w *world) scene() *scene {
	w.Helper()
	s := &scene{world: w, a: w.box("a"), b: w.box("b"), c: w.box("c"), shut: w.box("shut")}
	s.ip, s.gateway = map[*box][2]netip.Addr{}, map[*box][2]netip.Addr{}
	one := w.create(Config{Name: "one", IPv6: true})
	w.create(Config{Name: "two", IPv6: true})
	w.create(Config{Name: "closed", IPv6: true, Internal: true})
	for b, name := range map[*box]string{s.a: "one", s.b: one.ID[:8], s.c: "two", s.shut: "closed"} {
		var published []ports.Port
		if b == s.a {
			published = both(8080, 80)
		}
		e := b.on(Attachment{Network: name}, published...)
		n, err := w.networks.Find(name)
		if err != nil {
			w.Fatal(err)
		}
		s.ip[b] = [2]netip.Addr{e.Addresses[0].Addr(), e.Addresses[1].Addr()}
		s.gateway[b] = [2]netip.Addr(n.Gateways)
	}
	for _, gateway := range s.gateway[s.shut] { // a container that helps itself to a route
		s.shut.run(w, "ip", "route", "add", "default", "via", gateway.String())
	}
	return s
}

// try tries every path.
func (s *scene) try(print bool) []row {
	s.Helper()
	for b, ip := range s.ip {
		b.serve(s, 80, b.Name)
		b.serve(s, 81, b.Name)
		// The LAN's router sends it all to us.
		s.lan.run(s, "ip", "route", "replace", ip[0].String(), "via", hostIP)
		s.lan.run(s, "ip", "route", "replace", ip[1].String(), "via", hostIP6)
		s.lan.run(s, "ip", "route", "replace", s.gateway[b][0].String(), "via", hostIP)
		s.lan.run(s, "ip", "route", "replace", s.gateway[b][1].String(), "via", hostIP6)
	}
	s.lan.serve(s, 9000, "lan")
	netns{}.serve(s, 9001, "host")
	var rows []row
	for i, version := range []string{"IPv4", "IPv6"} {
		for _, p := range s.paths(i) {
			for _, protocol := range []string{"tcp", "udp"} {
				r := row{path: p, version: version, protocol: protocol}
				if s.shut == nil && i == 1 && cniDiffers[p.what] == silence {
					r.silent = true
				}
				rows = append(rows, r)
			}
		}
	}
	var all sync.WaitGroup
	for i := range rows {
		all.Go(rows[i].try)
	}
	all.Wait()
	for _, r := range rows {
		if print {
			fmt.Printf("%-52s %s %s  %.50s\n", r.what, r.version, r.protocol, r.got)
		}
	}
	return rows
}

// A row of the table, and what came of it.
type row struct {
	path
	version, protocol, got string
	silent                 bool // known not to be answered, for all that who says
}

const silence = "silence"

// ok tells whether the row is as it shall be.
func (r *row) ok() bool {
	return strings.HasPrefix(r.got, r.who) && (r.who != "" || r.got == silence)
}

func (r *row) try() {
	wait := patience
	if r.who == "" || r.silent {
		wait = 500 * time.Millisecond
	}
	answer, err := r.from.ask(r.protocol, r.to, wait)
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
