package demo

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"example.com/go-docker/day5-networks/talk"
)

// A Path is one that a request can take, and what came of it.
type Path struct {
	Name  string `json:"path"`
	From  string `json:"from"` // lan, host, or a container's name
	To    string `json:"to"`   // an address and a port
	Needs string `json:"needs"`
	Want  string `json:"want"` // how the answer begins
	TCP   string `json:"tcp"`  // what was answered
	UDP   string `json:"udp"`
}

// Right tells whether it is as it should be.
func (p Path) Right() bool {
	return strings.HasPrefix(p.TCP, p.Want) && strings.HasPrefix(p.UDP, p.Want)
}

// Addresses are those that the paths lead to.
type Addresses struct {
	Web, Box, Far       string // containers; the first publishes 8080 for its port 80
	Gateway, FarGateway string
	Bridge, FarBridge   string // links
}

// Paths are the rows of the table.
func Paths(a Addresses) []Path {
	host, lan := HostIP.String(), LANIP.String()
	return []Path{
		{Name: "container to another, by address", From: "box", To: a.Web + ":80", Needs: "the bridge", Want: "web, to " + a.Box},
		{Name: "container to another, by name", From: "box", To: "web:80", Needs: "the resolver", Want: "web, to " + a.Box},
		{Name: "container to outside", From: "box", To: lan + ":80", Needs: "ip_forward, masquerade", Want: "lan, to " + host},
		{Name: "outside to HOST:PORT", From: "lan", To: host + ":8080", Needs: "dnat in prerouting", Want: "web, to " + lan},
		{Name: "host to its own address:PORT", From: "host", To: host + ":8080", Needs: "dnat in output", Want: "web, to " + host},
		{Name: "host to 127.0.0.1:PORT", From: "host", To: "127.0.0.1:8080", Needs: "route_localnet, masquerade", Want: "web, to " + a.Gateway},
		{Name: "container to its own published port", From: "web", To: host + ":8080", Needs: "hairpin, masquerade", Want: "web, to " + a.Gateway},
		{Name: "container to a neighbour's published port", From: "box", To: host + ":8080", Needs: "the same", Want: "web, to "},
		{Name: "container of another network to HOST:PORT", From: "far", To: host + ":8080", Needs: "dnat, and no drop of it", Want: "web, to "},
		{Name: "outside straight to a container", From: "lan", To: a.Web + ":80", Needs: "a drop", Want: talk.Silence},
		{Name: "container of another network", From: "far", To: a.Web + ":80", Needs: "a drop", Want: talk.Silence},
	}
}

// Draw draws the world.
func Draw(w io.Writer, a Addresses) {
	fmt.Fprintf(w, `
  LAN                        HOST
  lan %-15s        %s:8080 is published
  eth0 --------------------- eth0
                             |
                             +-- %-16s %s
                             |     |-- web %s:80
                             |     '-- box %s
                             |
                             +-- %-16s %s
                                   '-- far %s

`, LANIP.String()+":80", HostIP, a.Bridge, a.Gateway, a.Web, a.Box, a.FarBridge, a.FarGateway, a.Far)
}

// Print prints the table.
func Print(w io.Writer, paths []Path) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "PATH\tTO\tNEEDS\tTCP\tUDP")
	for _, p := range paths {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", p.Name, p.To, p.Needs, p.TCP, p.UDP)
	}
	return table.Flush()
}
