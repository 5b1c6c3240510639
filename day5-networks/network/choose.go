package network

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"syscall"

	"example.com/go-docker/day5-networks/ports"
)

// plan chooses what the container gets. The records are in the session, and not
// yet on the disk.
func (s *session) plan(netns *os.File, o Owner, a []Attachment, p []ports.Port) (made []*record, err error) {
	var stat syscall.Stat_t
	if err := syscall.Fstat(int(netns.Fd()), &stat); err != nil {
		return nil, fmt.Errorf("look at its network namespace: %w", err)
	}
	if err := s.forget(o, stat.Ino); err != nil {
		return nil, err
	}
	if err := s.CheckPorts(p); err != nil {
		return nil, err
	}
	routed := slices.ContainsFunc(s.Records, func(r *record) bool { return r.ID == o.ID && len(r.Gateways) > 0 })
	for _, wish := range a {
		c, err := s.find(wish.Network)
		if err != nil {
			return made, err
		}
		if slices.ContainsFunc(s.Records, func(r *record) bool { return r.ID == o.ID && r.Network == c.ID }) {
			return made, fmt.Errorf("it is on network %s already", c.Name)
		}
		e := Endpoint{Owner: o, Network: c.ID, Aliases: wish.Aliases, DNS: c.Gateways[0]}
		r := &record{Endpoint: e, Boot: s.Boot, Netns: stat.Ino}
		if err := s.Choose(r, c, wish); err != nil {
			return made, fmt.Errorf("network %s: %w", c.Name, err)
		}
		if !c.Internal {
			r.Ports, p = p, nil
			if !routed {
				r.Gateways, routed = c.Gateways, true
			}
		}
		made, s.Records = append(made, r), append(s.Records, r)
	}
	if len(p) > 0 {
		return made, errors.New("a port can be published only on a network that is not internal")
	}
	return made, nil
}

// forget removes what an earlier life of the container has left: its lock is
// held again, and so it does not look dead.
func (s *session) forget(o Owner, netns uint64) error {
	var old []*record
	own, err := s.own(o)
	if err != nil {
		return err
	}
	for _, r := range own {
		there, err := s.links.Exists(r.HostInterface)
		if err != nil {
			return err
		}
		if !there || r.Pending() || r.Netns != netns {
			old = append(old, r)
		}
	}
	return s.release(old)
}
