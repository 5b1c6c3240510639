// Package endpoint keeps on the disk which container is on a network, and with
// which addresses: a record for each, in the network's directory of endpoints.
//
// The ladder's addresses stand in the program, 06-bridge; so this has no rung.
//
// What others must know of a container stands in its record's name: so to find a
// free address among two hundred takes one look at a directory, and nobody else's
// record is opened. See Record.
package endpoint

import (
	"cmp"
	"net"
	"net/netip"
	"slices"

	"example.com/go-docker/day5-networks/address"
	"example.com/go-docker/day5-networks/ports"
)

// An Owner is the container that an endpoint belongs to.
type Owner struct {
	ID   string
	Name string
	Lock string // path of the lock file that is held as long as it lives
}

// Called is what messages call the container, which may have no name.
func (o Owner) Called() string { return cmp.Or(o.Name, o.ID) }

// An Endpoint is a container's place on a network.
type Endpoint struct {
	Owner
	Network       string // the network's ID
	Interface     string // in the container: eth0
	HostInterface string
	MAC           string
	Addresses     []netip.Prefix `json:"-"` // IPv4, then IPv6: in the record's name
	Gateways      []netip.Addr   // of the default routes; none: another network has them
	Aliases       []string
	Ports         []ports.Port
	DNS           netip.Addr // where the network's resolver answers
}

// Ethernet is the MAC address.
func (e *Endpoint) Ethernet() net.HardwareAddr {
	mac, _ := net.ParseMAC(e.MAC) // it was checked when it was chosen
	return mac
}

// LinkAddresses are all that a container's link has: with IPv6 also the one that
// never leaves the network, by which its neighbours know it. RFC 4291, 2.5.6
func (e *Endpoint) LinkAddresses() []netip.Prefix {
	if len(e.Addresses) < 2 {
		return e.Addresses
	}
	return append(slices.Clone(e.Addresses), netip.PrefixFrom(address.LinkLocal(e.Ethernet()), 64))
}
