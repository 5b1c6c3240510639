// Package firewall keeps what is translated and what is dropped: a table of nft
// for everything, replaced whole in one transaction whenever something changes,
// so that there is never half of it. How many rules there are does not depend
// on how many containers: those are elements of sets and maps, which are hashed.
// And it keeps what is changed on the machine besides, to undo it.
//
// It grew from the steps 07-nat and 08-publish, plus: every path to a published
// port, IPv6, networks apart, senders' addresses, other people's firewalls.
//
// There are two tables of the same name, nft(8): in the family inet the routed
// packets, in the family bridge what comes out of a container, before anybody
// believes whose it is.
package firewall

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"
)

// A Description is everything that the tables are to know.
type Description struct {
	Networks  []Network
	Endpoints []Endpoint
	// Alone says that nobody but us wants this machine to forward: what is
	// neither from nor to our networks is dropped.
	Alone bool
}

// A Network is a bridge, the subnets behind it, and the host's address in each.
type Network struct {
	Bridge   string
	Subnets  []netip.Prefix
	Gateways []netip.Addr
	Internal bool
}

// An Endpoint is a port of a bridge, and what may come out of it.
type Endpoint struct {
	Link      string // on the host
	MAC       net.HardwareAddr
	Addresses []netip.Addr
	Forwards  []Forward
}

// A Forward sends what arrives at an address of the host to a container. From
// without an address (0.0.0.0, ::) is every address of the host.
type Forward struct {
	Protocol string // tcp or udp
	From, To netip.AddrPort
}

// Replace puts the description in the place of what the tables of this name had
// before; without networks there are none. It is all done or nothing is.
func Replace(name string, d Description) error {
	conn, err := nftables.New(nftables.AsLasting())
	if err != nil {
		return fmt.Errorf("open a netlink socket for nft: %w", err)
	}
	defer func() { _ = conn.CloseLasting() }()
	inet := &nftables.Table{Name: name, Family: nftables.TableFamilyINet}
	bridge := &nftables.Table{Name: name, Family: nftables.TableFamilyBridge}
	for _, t := range []*nftables.Table{inet, bridge} {
		// To delete what is not there is an error: so it is there.
		conn.AddTable(t)
		conn.DelTable(t)
	}
	if len(d.Networks) > 0 {
		if err := errors.Join(route(conn, inet, d), guard(conn, bridge, d)); err != nil {
			return fmt.Errorf("describe the nft table %s: %w", name, err)
		}
	}
	if err := conn.Flush(); err != nil {
		return fmt.Errorf("replace the nft table %s: %w", name, err)
	}
	return nil
}

// Others returns the tables of this name or of it and a suffix: one for each
// store on this machine that has containers on networks.
func Others(name string) ([]string, error) {
	tables, err := (&nftables.Conn{}).ListTablesOfFamily(nftables.TableFamilyINet)
	if err != nil {
		return nil, fmt.Errorf("list the nft tables: %w", err)
	}
	var names []string
	for _, t := range tables {
		if t.Name == name || len(t.Name) > len(name) && t.Name[:len(name)+1] == name+"-" {
			names = append(names, t.Name)
		}
	}
	return names, nil
}

// A writer fills one table. Its first error stays.
type writer struct {
	conn  *nftables.Conn
	table *nftables.Table
	err   error
}

// chain adds a chain that the kernel calls at a hook.
func (w *writer) chain(name string, kind nftables.ChainType, hook *nftables.ChainHook, priority *nftables.ChainPriority) *nftables.Chain {
	return w.conn.AddChain(&nftables.Chain{Name: name, Table: w.table, Type: kind, Hooknum: hook, Priority: priority})
}

func (w *writer) rule(c *nftables.Chain, parts ...part) {
	w.conn.AddRule(&nftables.Rule{Table: w.table, Chain: c, Exprs: slices.Concat(parts...)})
}

// set adds a set; with a data type it is a map. The elements go in pieces: an
// attribute of netlink has at most 64 KiB. netlink(7)
func (w *writer) set(name string, key, data nftables.SetDatatype, elements []nftables.SetElement) *nftables.Set {
	s := &nftables.Set{Table: w.table, Name: name, KeyType: key, DataType: data, IsMap: data.Bytes > 0}
	s.Concatenation = len(nftables.ConcatSetTypeElements(key)) > 1
	return w.add(s, elements)
}

// ranges adds a set of prefixes.
func (w *writer) ranges(name string, key nftables.SetDatatype, elements []nftables.SetElement) *nftables.Set {
	return w.add(&nftables.Set{Table: w.table, Name: name, KeyType: key, Interval: true}, elements)
}

func (w *writer) add(s *nftables.Set, elements []nftables.SetElement) *nftables.Set {
	w.err = errors.Join(w.err, w.conn.AddSet(s, nil))
	for piece := range slices.Chunk(elements, 400) {
		w.err = errors.Join(w.err, w.conn.SetAddElements(s, piece))
	}
	return s
}

// protocol is its number in an IP header.
func protocol(name string) byte {
	if name == "udp" {
		return unix.IPPROTO_UDP
	}
	return unix.IPPROTO_TCP
}
