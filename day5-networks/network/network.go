// Package network keeps networks and who is on them.
package network

import (
	"errors"
	"net/netip"
	"os"
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
	MTU      int            // bytes; 0: the uplink's
	Internal bool           // nothing outside is reached
	IPv6     bool
	Labels   map[string]string
	Created  time.Time
}

// Networks are the networks of one store.
type Networks struct {
	root string
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

var errMissing = errors.New("not there yet")

// Open opens the networks below the store's directory. It makes nothing.
func Open(root string) (*Networks, error) { return &Networks{root}, nil }

// Create makes a network, and fills in what is zero.
func (n *Networks) Create(c Config) (*Config, error) { return nil, errMissing }

// List returns all networks, sorted by name.
func (n *Networks) List() ([]Config, error) { return nil, nil }

// Find returns the network with this name, or whose ID alone begins so. The
// default one is made at its first use. The error Is ErrNone.
func (n *Networks) Find(nameOrIDPrefix string) (*Config, error) { return nil, ErrNone }

// Remove removes a network that no container is on.
func (n *Networks) Remove(name string) error { return ErrNone }

// Endpoints returns those on the network with this ID whose owners live.
func (n *Networks) Endpoints(id string) ([]Endpoint, error) { return nil, nil }

// Connect connects the network namespace to the networks.
func (n *Networks) Connect(netns *os.File, o Owner, a []Attachment, p []ports.Port) ([]Endpoint, error) {
	return nil, errMissing
}

// Disconnect takes the container off the networks; if none is named, off all.
func (n *Networks) Disconnect(o Owner, networks ...string) error { return nil }

// Recover removes what dead owners have left.
func (n *Networks) Recover() error { return nil }
