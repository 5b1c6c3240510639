package network

import (
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/sirupsen/logrus"

	"example.com/go-docker/day5-networks/describe"
	"example.com/go-docker/day5-networks/link"
	"example.com/go-docker/day5-networks/machine"
	"example.com/go-docker/day5-networks/ports"
)

// Connect connects a container, given its network namespace, to networks: as
// eth0, eth1 and so on. The first that is not internal gets the ports and, if
// the container has none, the default route. It does all of it or nothing.
//
// What it has to change on the machine it tells by logrus, a line each.
func (n *Networks) Connect(netns *os.File, o Owner, a []Attachment, p []ports.Port) ([]Endpoint, error) {
	endpoints, resolvers, err := n.Join(netns, o, a, p)
	resolvers.Start()
	return endpoints, err
}

// Join is Connect for a caller who starts the resolvers when he has the time, or
// closes them: to start a process takes longer than all the rest.
func (n *Networks) Join(netns *os.File, o Owner, a []Attachment, p []ports.Port) ([]Endpoint, Resolvers, error) {
	s, err := n.begin()
	if err != nil {
		return nil, nil, err
	}
	defer s.end()
	// How many containers there are must not matter here: of others than those who
	// have a port that we want it is not asked whether they live.
	_, err = s.recoverIf(func(r *record) bool { return r.MayPublish(p) })
	if err := errors.Join(err, s.open()); err != nil {
		return nil, nil, err
	}
	made, err := s.connect(netns, o, a, p)
	if err != nil {
		// A dead one may have what it was that we could not get.
		if some, errDead := s.recover(); some || errDead != nil {
			if err = errDead; err == nil {
				made, err = s.connect(netns, o, a, p)
			}
		}
	}
	if err != nil {
		return nil, nil, fmt.Errorf("connect container %s: %w", o.Called(), err)
	}
	endpoints := make([]Endpoint, len(made))
	for i, r := range made {
		endpoints[i] = r.Endpoint
	}
	return endpoints, s.resolvers, nil
}

// connect plans and establishes, all or nothing.
func (s *session) connect(netns *os.File, o Owner, a []Attachment, p []ports.Port) ([]*record, error) {
	made, err := s.plan(netns, o, a, p)
	if err == nil {
		err = s.establish(netns, made)
	}
	if err != nil {
		s.resolvers.Close()
		return nil, errors.Join(err, s.release(made))
	}
	return made, nil
}

// establish makes what was planned: first the records, then links that carry
// nothing, then rules, and then addresses. So no packet passes without rules; and
// while these are made, the kernel finds out that the links are up, and resolvers'
// sockets are made: they may be there before the addresses.
func (s *session) establish(netns *os.File, made []*record) (err error) {
	for _, r := range made {
		if err := s.Write(r); err != nil {
			return err
		}
		fault("recorded")
	}
	ipv6 := slices.ContainsFunc(made, func(r *record) bool { return len(r.Addresses) > 1 })
	if err := s.changes.Forward(ipv6); err != nil {
		return err
	}
	fault("forwarding")
	prepared := make(chan error, 1)
	go func() { prepared <- s.prepareResolvers(made) }()
	defer func() { err = errors.Join(err, <-prepared) }()
	for _, r := range made {
		if err := s.plug(netns, r); err != nil {
			return err
		}
	}
	if err := s.filter(true, made, nil); err != nil {
		return err
	}
	for _, r := range made {
		if err := s.links.Furnish(netns, s.pair(r)); err != nil {
			return err
		}
		fault("addresses")
	}
	for _, r := range made {
		if err := r.SetPending(false); err != nil {
			return err
		}
	}
	fault("ready")
	go func() { // the container need not wait
		if err := machine.ForgetUDP(describe.UDPPorts(made)); err != nil {
			logrus.Warn(err)
		}
	}()
	return nil
}

// prepareResolvers prepares the resolvers of the networks that endpoints are on.
func (s *session) prepareResolvers(made []*record) (errs error) {
	for _, r := range made {
		errs = errors.Join(errs, s.resolvers.Prepare(s.networks.root, s.Config(r.Network)))
	}
	return errs
}

// plug makes an endpoint's links, and the bridge for them.
func (s *session) plug(netns *os.File, r *record) error {
	b := describe.Bridge(s.Config(r.Network))
	b.Others = s.Bridges()
	if err := s.links.Ensure(b); err != nil {
		return err
	}
	fault("bridge")
	defer fault("links")
	return s.links.Plug(netns, s.pair(r))
}

func (s *session) pair(r *record) link.Pair {
	return describe.Pair(&r.Endpoint, s.Config(r.Network).Bridge)
}
