// Package firewall decides which packets are translated and which are dropped.
// All rules are in nft tables of our own, replaced as a whole in one
// transaction, so that they are never half done. The number of rules does not
// depend on the number of containers, because those are elements of sets and
// maps, which are hashed. If only containers come and go, only elements change.
//
// It grew from rungs 07-nat and 08-publish, and adds every path to a published
// port, IPv6, isolation between networks, and checks of senders' addresses.
//
// There are two tables of the same name, nft(8): the one in the family inet
// handles routed packets, and the one in the family bridge checks what comes
// out of a container before anything trusts its source address.
package firewall

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"golang.org/x/sys/unix"

	"example.com/go-docker/day5-networks/nft"
)

// A Description is everything that the tables depend on.
type Description struct {
	Prefix    string // of the names of endpoints' links
	Networks  []Network
	Endpoints []Endpoint
	// Alone says, by version of IP, that nobody but us wants this machine to
	// forward, so packets neither from nor to our networks are dropped. Kin are
	// the prefixes of other stores' bridges.
	Alone map[int]bool
	Kin   []string
}

// A Network is a bridge, the subnets behind it, and the host's address in each.
type Network struct {
	Bridge    string
	Subnets   []netip.Prefix
	Gateways  []netip.Addr
	Addresses []netip.Prefix // all of the host's, with the lengths of their networks
	Internal  bool
}

// An Endpoint is a port on a bridge and the source addresses that it may use.
type Endpoint struct {
	Link      string // on the host
	MAC       net.HardwareAddr
	Addresses []netip.Addr
	Forwards  []Forward
}

// A Forward sends what arrives at an address of the host to a container. An
// unspecified From (0.0.0.0, ::) stands for every address of the host.
type Forward struct {
	Protocol string // tcp or udp
	From, To netip.AddrPort
}

// Tables are our tables and the sockets to change them.
type Tables struct {
	conn *nft.Conn
	name string
}

// Open opens the sockets in the network namespace of the calling thread. The
// tables are called name; other stores on this machine add a suffix to it.
func Open(name string) (*Tables, error) {
	conn, err := nft.Open()
	if err != nil {
		return nil, err
	}
	return &Tables{conn, name}, nil
}

// Close closes the sockets without waiting.
func (t *Tables) Close() { t.conn.Close() }

// Replace puts the description in place of what the tables had before; without
// networks it removes the tables. It does everything or nothing. The mark is
// for the next Change.
func (t *Tables) Replace(d Description) (mark string, err error) {
	before, err := t.mark(d)
	if err != nil {
		return "", err
	}
	inet := &nftables.Table{Name: t.name, Family: nftables.TableFamilyINet}
	bridge := &nftables.Table{Name: t.name, Family: nftables.TableFamilyBridge}
	for _, table := range []*nftables.Table{inet, bridge} {
		// Deleting a table that does not exist is an error, so add it first.
		t.conn.AddTable(table)
		t.conn.DelTable(table)
	}
	if len(d.Networks) > 0 {
		sets := new(uint32)
		r, g := &writer{conn: t.conn.Conn, table: inet, sets: sets}, &writer{conn: t.conn.Conn, table: bridge, sets: sets}
		if err := errors.Join(r.route(d), g.guard(d)); err != nil {
			return "", fmt.Errorf("describe the nft table %s: %w", t.name, err)
		}
	}
	if err := t.conn.Commit(); err != nil {
		return "", fmt.Errorf("replace the nft table %s: %w", t.name, err)
	}
	if before.text == "" || len(d.Networks) == 0 {
		return "", nil
	}
	return before.next(), nil
}

// List returns the names of the tables that exist: ours, and those of other
// stores whose containers are on networks.
func (t *Tables) List(base string) (names []string, err error) {
	tables, err := t.conn.Tables(nftables.TableFamilyINet)
	if err != nil {
		return nil, err
	}
	for _, table := range tables {
		if table.Name == base || strings.HasPrefix(table.Name, base+"-") {
			names = append(names, table.Name)
		}
	}
	return names, nil
}

// mostElements is how many elements go in one message, because a netlink
// attribute is at most 64 KiB long. netlink(7)
const mostElements = 400

// A writer fills one table, and collects its errors in err.
type writer struct {
	conn  *nftables.Conn
	table *nftables.Table
	sets  *uint32 // the number of sets in this transaction, which gives each its ID
	err   error
}

// chain adds a chain that the kernel calls at a hook.
func (w *writer) chain(name string, kind nftables.ChainType, hook *nftables.ChainHook, priority *nftables.ChainPriority) *nftables.Chain {
	return w.conn.AddChain(&nftables.Chain{Name: name, Table: w.table, Type: kind, Hooknum: hook, Priority: priority})
}

func (w *writer) rule(c *nftables.Chain, parts ...part) {
	w.conn.AddRule(&nftables.Rule{Table: w.table, Chain: c, Exprs: slices.Concat(parts...)})
}

// set adds a set or, with a data type, a map.
func (w *writer) set(name string, key, data nftables.SetDatatype, elements []nftables.SetElement) *nftables.Set {
	return w.add(w.describe(name, key, data), elements)
}

func (w *writer) describe(name string, key, data nftables.SetDatatype) *nftables.Set {
	s := &nftables.Set{Table: w.table, Name: name, KeyType: key, DataType: data, IsMap: data.Bytes > 0}
	if key.Name == nftables.TypeIFName.Name {
		s.KeyByteOrder = binaryutil.NativeEndian // so that nft(8) shows it correctly
	}
	s.Concatenation = len(nftables.ConcatSetTypeElements(key)) > 1
	return s
}

// ranges adds a set of prefixes.
func (w *writer) ranges(name string, key nftables.SetDatatype, elements []nftables.SetElement) *nftables.Set {
	return w.add(&nftables.Set{Table: w.table, Name: name, KeyType: key, Interval: true}, elements)
}

func (w *writer) add(s *nftables.Set, elements []nftables.SetElement) *nftables.Set {
	*w.sets++
	s.ID = *w.sets
	w.err = errors.Join(w.err, w.conn.AddSet(s, nil))
	for piece := range slices.Chunk(elements, mostElements) {
		w.err = errors.Join(w.err, w.conn.SetAddElements(s, piece))
	}
	return s
}

// protocol returns a protocol's number in an IP header.
func protocol(name string) byte {
	if name == "udp" {
		return unix.IPPROTO_UDP
	}
	return unix.IPPROTO_TCP
}
