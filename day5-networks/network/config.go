package network

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"example.com/go-docker/day5-networks/address"
	"example.com/go-docker/day5-networks/link"
)

var names = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]*$`)

// List returns all networks, sorted by name.
func (n *Networks) List() ([]Config, error) {
	configs, err := n.readConfigs()
	slices.SortFunc(configs, func(a, b Config) int { return strings.Compare(a.Name, b.Name) })
	return configs, err
}

// Find returns the network with this name or ID, or whose ID alone begins so.
// The default one is made at its first use. The error Is ErrNone.
func (n *Networks) Find(nameOrIDPrefix string) (*Config, error) {
	configs, err := n.readConfigs()
	if err != nil {
		return nil, err
	}
	c, err := find(configs, nameOrIDPrefix)
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

func find(configs []Config, name string) (*Config, error) {
	var found []*Config
	for i := range configs {
		c := &configs[i]
		if c.Name == name || c.ID == name {
			return c, nil
		}
		if name != "" && strings.HasPrefix(c.ID, name) {
			found = append(found, c)
		}
	}
	switch len(found) {
	case 0:
		return nil, fmt.Errorf("%w: %s", ErrNone, name)
	case 1:
		return found[0], nil
	}
	return nil, fmt.Errorf("several networks have IDs that begin with %s: use more digits, or a name", name)
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

// find is Find for who holds the lock.
func (s *session) find(name string) (*Config, error) {
	c, err := find(s.configs, name)
	if name == DefaultName && errors.Is(err, ErrNone) {
		return s.create(Config{Name: DefaultName})
	}
	return c, err
}

func (s *session) create(c Config) (*Config, error) {
	if !names.MatchString(c.Name) || c.Name == "host" || c.Name == "none" || c.Name == "default" || c.Name == "container" {
		return nil, fmt.Errorf("network name %q: want letters, digits, _, . and -, the first a letter or digit, and not host, none, default or container", c.Name)
	}
	if old, err := find(s.configs, c.Name); err == nil && old.Name == c.Name {
		return nil, fmt.Errorf("network with name %s already exists: remove it with network rm, or use another name", c.Name)
	}
	if c.MTU != 0 && (c.MTU < 68 || c.MTU > 65535 || c.IPv6 && c.MTU < 1280) {
		return nil, fmt.Errorf("MTU %d: want 68 to 65535 bytes, with IPv6 at least 1280", c.MTU)
	}
	var id [6]byte
	_, _ = rand.Read(id[:]) // never fails: it ends the program
	c.ID, c.Created = hex.EncodeToString(id[:]), time.Now().UTC()
	c.Bridge = "gd-" + c.ID
	if c.Name == DefaultName {
		c.Bridge = s.networks.bridge
	}
	if err := s.number(&c); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(s.networks.path(c.ID, "endpoints"), 0o700); err != nil {
		return nil, fmt.Errorf("make network %s: %w", c.Name, err)
	}
	if err := writeJSON(s.networks.path(c.ID, "network.json"), &c, true); err != nil {
		return nil, errors.Join(err, os.RemoveAll(s.networks.path(c.ID)))
	}
	s.configs = append(s.configs, c)
	return &s.configs[len(s.configs)-1], nil
}

// number chooses and checks a network's subnets, ranges and gateways.
func (s *session) number(c *Config) error {
	taken, err := s.taken()
	if err != nil {
		return err
	}
	if len(c.Subnets) == 0 || !c.Subnets[0].Addr().Is4() {
		free, err := address.Free(taken)
		if err != nil {
			return err
		}
		c.Subnets = append([]netip.Prefix{free}, c.Subnets...)
	}
	if len(c.Subnets) > 1 {
		c.IPv6 = true
	} else if c.IPv6 {
		c.Subnets = append(c.Subnets, address.ULA())
	}
	if len(c.Subnets) > 2 || c.IPv6 && !c.Subnets[1].Addr().Is6() {
		return errors.New("a network has one IPv4 and at most one IPv6 subnet")
	}
	ranges, gateways := c.Ranges, c.Gateways
	c.Ranges, c.Gateways = nil, nil
	for _, subnet := range c.Subnets {
		if err := address.CheckSubnet(subnet); err != nil {
			return err
		}
		if t, overlaps := address.Overlap(subnet, taken); overlaps {
			return fmt.Errorf("subnet %s overlaps %s, which another network or a route of this machine has: choose another", subnet, t)
		}
		within, gateway := subnet, address.Gateway(subnet)
		for _, r := range ranges {
			if r.Addr().Is4() == subnet.Addr().Is4() {
				within = r
			}
		}
		for _, g := range gateways {
			if g.Is4() == subnet.Addr().Is4() {
				gateway = g
			}
		}
		if err := errors.Join(address.CheckRange(subnet, within), address.CheckHost(subnet, gateway)); err != nil {
			return err
		}
		c.Ranges, c.Gateways = append(c.Ranges, within), append(c.Gateways, gateway)
	}
	return nil
}

// taken are the prefixes that no new network may have.
func (s *session) taken() ([]netip.Prefix, error) {
	l, err := link.Open()
	if err != nil {
		return nil, err
	}
	defer l.Close()
	ours := map[string]bool{}
	var taken []netip.Prefix
	for _, c := range s.configs {
		ours[c.Bridge] = true
		taken = append(taken, c.Subnets...)
	}
	routes, err := l.Taken(ours)
	return append(taken, routes...), err
}

// Remove removes a network that no container is on.
func (n *Networks) Remove(name string) error {
	s, err := n.begin()
	if err != nil {
		return err
	}
	defer s.end()
	c, err := find(s.configs, name)
	if err != nil {
		return err
	}
	if err := s.recover(); err != nil {
		return err
	}
	var users []string
	for _, r := range s.records {
		if r.Network == c.ID {
			users = append(users, r.Name)
		}
	}
	if len(users) > 0 {
		return fmt.Errorf("network %s is in use by %s: stop the container, or take it off with network disconnect", c.Name, strings.Join(users, ", "))
	}
	// Without its name in it, the directory is rubbish.
	if err := remove(n.path(c.ID, "network.json")); err != nil {
		return fmt.Errorf("remove network %s: %w", c.Name, err)
	}
	fault("remove: network.json")
	return os.RemoveAll(n.path(c.ID))
}
