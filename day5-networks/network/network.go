// Package network connects containers: it makes and removes what belongs to them
// in the kernel, as netstate has it recorded on the disk.
//
// It grew from the steps 06-bridge and 08-publish, which nobody cleans up after,
// plus: a killed command leaves nothing that the next one does not remove.
//
// Links, rules and forwarding are there as long as a container is on a network:
// with the last one everything goes, and the machine is as it was.
package network

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"example.com/go-docker/day5-networks/link"
	"example.com/go-docker/day5-networks/netstate"
	"example.com/go-docker/day5-networks/nft"
)

// What is on the disk, under the names that users of this package know.
type (
	Config   = netstate.Config   // a network
	Owner    = netstate.Owner    // a container
	Endpoint = netstate.Endpoint // a container's place on a network

	// An Attachment is what a container asks of one network.
	Attachment = netstate.Attachment

	record = netstate.Record
)

// DefaultName is the network of containers that name none.
const DefaultName = netstate.DefaultName

// ErrNone says that there is no such network.
var ErrNone = netstate.ErrNone

// Networks are the networks of one store.
type Networks struct {
	store netstate.Store
	root  string // the store's directory
	table string // our nft tables' name
}

const (
	defaultRoot = "/var/lib/go-docker"
	tables      = "go-docker"
)

// kin are prefixes of every store's bridges.
var kin = []string{"gd-", "go-d"}

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
	n := &Networks{root: root, table: tables + "-" + sum}
	n.store = netstate.Store{Dir: filepath.Join(root, "networks"), DefaultBridge: "go-d-" + sum, LinkPrefix: "gdv" + sum[:4]}
	if root == defaultRoot {
		n.table, n.store.DefaultBridge = tables, "go-docker0"
	}
	return n, nil
}

// List returns all networks, sorted by name.
func (n *Networks) List() ([]Config, error) {
	configs, err := n.store.ReadConfigs()
	slices.SortFunc(configs, func(a, b Config) int { return strings.Compare(a.Name, b.Name) })
	return configs, err
}

// Find returns the network with this name or ID, or whose ID alone begins so.
// The default one is made at its first use. The error Is ErrNone.
func (n *Networks) Find(nameOrIDPrefix string) (*Config, error) {
	configs, err := n.store.ReadConfigs()
	if err != nil {
		return nil, err
	}
	c, err := netstate.FindSound(configs, nameOrIDPrefix)
	if nameOrIDPrefix != DefaultName || !errors.Is(err, ErrNone) {
		return c, err
	}
	s, err := n.begin()
	if err != nil {
		return nil, err
	}
	defer s.end()
	return s.find(nameOrIDPrefix)
}

// Create makes a network, and fills in what is zero. Only the record is made:
// the bridge comes with the first container.
func (n *Networks) Create(c Config) (*Config, error) {
	s, err := n.begin()
	if err != nil {
		return nil, err
	}
	defer s.end()
	return s.create(c)
}

// Remove removes a network that no container is on.
func (n *Networks) Remove(name string) error {
	s, err := n.begin()
	if err != nil {
		return err
	}
	defer s.end()
	c, err := netstate.Find(s.Configs, name)
	if err != nil {
		return err
	}
	if _, err := s.recover(); err != nil {
		return err
	}
	var users []string
	for _, r := range s.Records {
		if r.Network == c.ID {
			users = append(users, r.Called())
		}
	}
	if len(users) > 0 {
		return fmt.Errorf("network %s is in use by %s: stop the container, or take it off with network disconnect", c.Name, strings.Join(users, ", "))
	}
	if err := s.Delete(c); err != nil {
		return err
	}
	fault("network.json")
	return s.Sweep()
}

// OnRecord returns the endpoints on the network with this ID, without asking
// whether their owners live; those that do not, Recover removes.
func (n *Networks) OnRecord(id string) ([]Endpoint, error) { return n.store.OnRecord(id) }

// Guarded tells whether our nft tables are where our links are; nft flush ruleset
// takes them away. The look takes some 50 µs, and finds nothing else that may be
// missing. In another network namespace than the links' there is nothing to guard:
// the next demo comes there to remove what a killed one has left.
func (n *Networks) Guarded() (bool, error) {
	there, err := nft.Exist(n.table)
	if there || err != nil {
		return there, err
	}
	unguarded, err := link.Any(n.store.LinkPrefix)
	return !unguarded, err
}

// find is Find for who holds the lock.
func (s *session) find(name string) (*Config, error) {
	c, err := netstate.FindSound(s.Configs, name)
	if name == DefaultName && errors.Is(err, ErrNone) {
		return s.create(Config{Name: DefaultName})
	}
	return c, err
}

// create makes a network that is in nobody's way on this machine.
func (s *session) create(c Config) (*Config, error) {
	l, err := link.Open()
	if err != nil {
		return nil, err
	}
	defer l.Close()
	taken, err := l.Taken(s.Bridges())
	if err != nil {
		return nil, err
	}
	return s.Create(c, taken)
}

// fault is where tests end the process, as if by chance.
var fault = func(string) {}
