// Package network connects containers: it knows the networks, which container
// has which address, and makes and removes what belongs to it in the kernel.
//
// It grew from the steps 06-bridge and 08-publish, whose addresses stand in the
// program and which nobody cleans up after, plus: records.
//
// Everything is below STORE/networks:
//
//	lock                          held, flock(2), while anything is changed
//	ID/network.json               a network: a Config
//	ID/endpoints/CONTAINER.json   a container on it: an Endpoint
//	ID/endpoints/CONTAINER.pending   the same while it is made or removed
//	changed.json                  what was changed on this machine besides
//
// A record is written before what it speaks of is made and removed after it has
// gone; so whatever a killed command has left, Recover finds. Links, rules and
// forwarding are there as long as a container is on a network: with the last one
// everything goes, and the machine is as it was.
package network

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"example.com/go-docker/day5-networks/ports"
)

// DefaultName is the network of containers that name none.
const DefaultName = "bridge"

// ErrNone says that there is no such network.
var ErrNone = errors.New("no such network")

// A Config is a network as it was made: ID/network.json.
type Config struct {
	Name     string
	ID       string         // 12 hexadecimal digits
	Bridge   string         // the bridge's link name, at most 15 bytes
	Subnets  []netip.Prefix // IPv4, then with IPv6 a ULA
	Ranges   []netip.Prefix // where addresses are taken from, one for each subnet
	Gateways []netip.Addr   // the host's address on the network, one for each subnet
	MTU      int            // bytes; 0: the uplink's when the bridge is made
	Internal bool           // nothing outside is reached
	IPv6     bool
	Labels   map[string]string
	Created  time.Time
}

// Networks are the networks of one store.
type Networks struct {
	dir    string // STORE/networks
	root   string // the store
	table  string // our nft tables' name
	bridge string // the default network's bridge
	prefix string // of the endpoints' links on the host, 7 bytes
}

// An Attachment is what a container asks of one network.
type Attachment struct {
	Network string     // name, or a prefix of the ID
	IP, IP6 netip.Addr // zero: the next free one
	MAC     string     // empty: one is made
	Aliases []string
}

// An Owner is the container that an endpoint belongs to.
type Owner struct {
	ID   string
	Name string
	Lock string // path of the lock file that is held as long as it lives
}

// An Endpoint is a container's place on a network: ID/endpoints/CONTAINER.json.
type Endpoint struct {
	Owner
	Network       string // the network's ID
	Interface     string // in the container: eth0
	HostInterface string
	MAC           string
	Addresses     []netip.Prefix // IPv4, then IPv6
	Gateways      []netip.Addr   // of the default routes; none: another network has them
	Aliases       []string
	Ports         []ports.Port
	DNS           netip.Addr // where the network's resolver answers
}

const (
	defaultRoot = "/var/lib/go-docker"
	tables      = "go-docker"
)

// Open opens the networks below the store's directory. It makes nothing.
//
// The kernel's names are the machine's, and there may be several stores: only
// the usual one has the plain names go-docker and go-docker0.
func Open(root string) (*Networks, error) {
	root, err := filepath.Abs(root)
	if err != nil {
		return nil, fmt.Errorf("open the store's networks: %w", err)
	}
	sum := fmt.Sprintf("%x", sha256.Sum256([]byte(root)))[:8]
	n := &Networks{dir: filepath.Join(root, "networks"), root: root, prefix: "gdv" + sum[:4]}
	n.table, n.bridge = tables+"-"+sum, "go-d-"+sum
	if root == defaultRoot {
		n.table, n.bridge = tables, "go-docker0"
	}
	return n, nil
}

// Endpoints returns those on the network with this ID whose owners live.
func (n *Networks) Endpoints(id string) ([]Endpoint, error) {
	boot, err := bootID()
	if err != nil {
		return nil, err
	}
	all, err := n.readEndpoints(id)
	if err != nil {
		return nil, err
	}
	var live []Endpoint
	for _, r := range all {
		if r.Boot != boot || r.pending {
			continue
		}
		alive, err := r.alive()
		if err != nil {
			return nil, err
		}
		if alive {
			live = append(live, r.Endpoint)
		}
	}
	return live, nil
}

// fault is where tests end the process, as if by chance.
var fault = func(string) {}

// path names a file or directory of a network.
func (n *Networks) path(id string, names ...string) string {
	return filepath.Join(append([]string{n.dir, id}, names...)...)
}

// bootID tells one boot of the machine from another. random(4)
func bootID() (string, error) {
	text, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", fmt.Errorf("find out when the machine was booted: %w", err)
	}
	return string(text[:len(text)-1]), nil
}
