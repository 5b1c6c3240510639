package network

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"slices"

	"example.com/go-docker/day5-networks/firewall"
	"example.com/go-docker/day5-networks/link"
	"example.com/go-docker/day5-networks/lock"
)

// A session is the time in which one process alone changes networks, and what it
// knows of them.
type session struct {
	networks *Networks
	lock     *os.File
	boot     string
	configs  []Config
	records  []*record // of this boot, on all networks
	changes  changes

	links  *link.Links      // nil until used
	tables *firewall.Tables // nil until used
}

// changes is changed.json.
type changes struct {
	firewall.Changes
	Boot string
}

// begin waits for the lock and reads what there is.
func (n *Networks) begin() (_ *session, err error) {
	if err := os.MkdirAll(n.dir, 0o700); err != nil {
		return nil, fmt.Errorf("make a directory for the networks: %w", err)
	}
	s := &session{networks: n}
	if s.boot, err = bootID(); err != nil {
		return nil, err
	}
	if s.lock, err = lock.Wait(n.path("lock")); err != nil {
		return nil, fmt.Errorf("lock the networks: %w", err)
	}
	if err := s.read(); err != nil {
		s.end()
		return nil, err
	}
	return s, nil
}

// end lets others change networks.
func (s *session) end() {
	if s.links != nil {
		s.links.Close()
	}
	if s.tables != nil {
		s.tables.Close()
	}
	_ = s.lock.Close()
}

// read reads everything, and removes what speaks of another boot: it took links,
// rules and values with it.
func (s *session) read() (err error) {
	if s.configs, err = s.networks.readConfigs(); err != nil {
		return err
	}
	for _, c := range s.configs {
		records, err := s.networks.readEndpoints(c.ID)
		if err != nil {
			return err
		}
		for _, r := range records {
			if r.Boot == s.boot {
				s.records = append(s.records, r)
			} else if err := remove(s.networks.file(r, r.pending)); err != nil {
				return err
			}
		}
	}
	path := s.networks.path("changed.json")
	if err := readJSON(path, &s.changes); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if s.changes.Boot != s.boot {
		s.changes = changes{Boot: s.boot}
		if err := remove(path); err != nil {
			return err
		}
	}
	s.changes.Save = s.saveChanges
	return nil
}

// saveChanges writes changed.json, or removes it when nothing is changed.
func (s *session) saveChanges() error {
	path := s.networks.path("changed.json")
	if len(s.changes.Values) == 0 && len(s.changes.Accepts) == 0 {
		return remove(path)
	}
	defer fault("changed.json")
	return writeJSON(path, &s.changes, false)
}

// open opens the sockets to the kernel.
func (s *session) open() (err error) {
	if s.links == nil {
		if s.links, err = link.Open(); err != nil {
			return err
		}
	}
	if s.tables == nil {
		s.tables, err = firewall.Open(s.networks.table)
	}
	return err
}

// config returns the network with this ID.
func (s *session) config(id string) *Config {
	i := slices.IndexFunc(s.configs, func(c Config) bool { return c.ID == id })
	if i < 0 {
		return nil
	}
	return &s.configs[i]
}

// used tells whether somebody is on the network.
func (s *session) used(c *Config) bool {
	return slices.ContainsFunc(s.records, func(r *record) bool { return r.Network == c.ID })
}

// filter puts the rules in place that the records call for.
func (s *session) filter() error {
	d := firewall.Description{Alone: s.changes.Alone(), Prefix: s.networks.prefix}
	for i := range s.configs {
		c := &s.configs[i]
		if s.used(c) {
			d.Networks = append(d.Networks, firewall.Network{Bridge: c.Bridge, Subnets: c.Subnets, Gateways: c.Gateways, Internal: c.Internal})
		}
	}
	for _, r := range s.records {
		e := firewall.Endpoint{Link: r.HostInterface, MAC: r.mac(), Forwards: r.forwards()}
		for _, a := range r.Addresses {
			e.Addresses = append(e.Addresses, a.Addr())
		}
		if len(r.Addresses) > 1 {
			e.Addresses = append(e.Addresses, link.LinkLocal(e.MAC))
		}
		d.Endpoints = append(d.Endpoints, e)
	}
	if err := s.tables.Replace(d); err != nil {
		return err
	}
	fault("rules")
	return s.tables.Foreign(&s.changes.Changes, d.Networks)
}

// forwards are the endpoint's published ports, each for every version of IP that
// the host's address has; without one, both have it.
func (r *record) forwards() (all []firewall.Forward) {
	for _, p := range r.Ports {
		froms := []netip.Addr{p.HostIP}
		if !p.HostIP.IsValid() {
			froms = []netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()}
		}
		for _, from := range froms {
			f := firewall.Forward{Protocol: p.Protocol, From: netip.AddrPortFrom(from, p.HostPort)}
			for _, a := range r.Addresses {
				if a.Addr().Is4() == from.Is4() {
					f.To = netip.AddrPortFrom(a.Addr(), p.Port)
				}
			}
			all = append(all, f)
		}
	}
	return all
}
