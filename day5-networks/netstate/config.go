package netstate

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
)

// bridgePrefix begins the names of bridges, but for the default network's.
const bridgePrefix = "gd-"

var names = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]*$`)

// Find returns the network with this name or ID, or whose ID alone begins so. The
// error Is ErrNone, unless it may be one that is Damaged.
func Find(configs []Config, name string) (*Config, error) {
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
		if i := slices.IndexFunc(configs, func(c Config) bool { return c.Damaged != nil }); i >= 0 {
			return nil, fmt.Errorf("no network is known as %s, and %w", name, configs[i].Damaged)
		}
		return nil, fmt.Errorf("%w: %s", ErrNone, name)
	case 1:
		return found[0], nil
	}
	return nil, fmt.Errorf("several networks have IDs that begin with %s: use more digits, or a name", name)
}

// FindSound is Find for who needs a network that is not Damaged.
func FindSound(configs []Config, name string) (*Config, error) {
	c, err := Find(configs, name)
	if err == nil && c.Damaged != nil {
		return nil, c.Damaged
	}
	return c, err
}

// Create makes a network, and fills in what is zero. Its subnets overlap none of
// those taken, which are the machine's, nor another network's.
func (s *Session) Create(c Config, taken []netip.Prefix) (*Config, error) {
	if !names.MatchString(c.Name) || c.Name == "host" || c.Name == "none" || c.Name == "default" || c.Name == "container" {
		return nil, fmt.Errorf("network name %q: want letters, digits, _, . and -, the first a letter or digit, and not host, none, default or container", c.Name)
	}
	if old, err := Find(s.Configs, c.Name); err == nil && (old.Name == c.Name || old.ID == c.Name) {
		return nil, fmt.Errorf("network with name %s already exists: remove it with network rm, or use another name", c.Name)
	}
	if c.MTU != 0 && (c.MTU < 68 || c.MTU > 65535 || c.IPv6 && c.MTU < 1280) {
		return nil, fmt.Errorf("MTU %d: want 68 to 65535 bytes, with IPv6 at least 1280", c.MTU)
	}
	var id [6]byte
	_, _ = rand.Read(id[:]) // never fails: it ends the program
	c.ID, c.Created = hex.EncodeToString(id[:]), time.Now().UTC()
	c.Bridge = bridgePrefix + c.ID
	if c.Name == DefaultName {
		c.Bridge = s.DefaultBridge
	}
	for _, other := range s.Configs {
		taken = append(taken, other.Subnets...)
	}
	if err := c.number(taken); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(s.Path(c.ID, "endpoints"), 0o700); err != nil {
		return nil, fmt.Errorf("make network %s: %w", c.Name, err)
	}
	if err := writeJSON(s.Path(c.ID, "network.json"), &c, true); err != nil {
		return nil, errors.Join(err, os.RemoveAll(s.Path(c.ID)))
	}
	s.Configs = append(s.Configs, c)
	return &s.Configs[len(s.Configs)-1], nil
}

// number chooses and checks a network's subnets, ranges and gateways.
func (c *Config) number(taken []netip.Prefix) error {
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

// Delete removes a network that nobody is on. Without its name in it, the
// directory is rubbish, which Sweep removes.
func (s *Session) Delete(c *Config) error {
	if err := remove(s.Path(c.ID, "network.json")); err != nil {
		return fmt.Errorf("remove network %s: %w", c.Name, err)
	}
	s.Configs = slices.DeleteFunc(slices.Clone(s.Configs), func(other Config) bool { return other.ID == c.ID })
	return nil
}
