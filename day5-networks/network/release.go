package network

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"sync"

	"example.com/go-docker/day5-networks/describe"
	"example.com/go-docker/day5-networks/machine"
	"example.com/go-docker/day5-networks/netstate"
)

// Disconnect takes the container off the networks; if none is named, off all.
// Its network namespace may be gone. Default routes and published ports do not move
// to another network until the container starts again.
func (n *Networks) Disconnect(o Owner, networks ...string) error {
	left, err := n.Leave(o, networks...)
	if left != nil {
		err = left()
	}
	return err
}

// Leave is Disconnect for a caller who need not wait for the kernel to remove
// links, which takes 2 to 30 ms. When it returns, no packet passes any more. Until
// left returns, other changes of networks wait; and should this process end
// before, the next command does the rest. After an error left may be nil.
func (n *Networks) Leave(o Owner, networks ...string) (left func() error, err error) {
	s, err := n.begin()
	if err != nil {
		return nil, err
	}
	leaving, err := s.of(o, networks)
	if err != nil {
		s.end()
		return nil, err
	}
	links, err := s.detach(leaving)
	done := make(chan error, 1)
	go func() {
		err := s.discard(leaving, links, err)
		s.end()
		if err != nil {
			err = fmt.Errorf("disconnect container %s: %w", o.Called(), err)
		}
		done <- err
	}()
	return sync.OnceValue(func() error { return <-done }), err
}

// of are a container's endpoints; if networks are named, those on them.
func (s *session) of(o Owner, networks []string) (leaving []*record, err error) {
	own, err := s.own(o)
	if err != nil || len(networks) == 0 {
		return own, err
	}
	for _, name := range networks {
		c, err := netstate.Find(s.Configs, name)
		if err != nil {
			return nil, err
		}
		i := slices.IndexFunc(own, func(r *record) bool { return r.Network == c.ID })
		if i < 0 {
			return nil, fmt.Errorf("container %s is not on network %s", o.Called(), c.Name)
		}
		leaving = append(leaving, own[i])
	}
	return leaving, nil
}

// Recover removes what dead owners and killed commands have left: records,
// links, rules. It starts the resolvers that should run.
func (n *Networks) Recover() error {
	if _, err := os.Stat(n.store.Dir); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	s, err := n.begin()
	if err != nil {
		return err
	}
	defer s.end()
	if _, err := s.recover(); err != nil {
		return err
	}
	errs := s.heal()
	for _, c := range s.used() {
		if c.Damaged == nil {
			errs = errors.Join(errs, s.resolvers.Prepare(n.root, c))
		}
	}
	s.resolvers.Start()
	return errs
}

// heal puts back what a firewall took away that was loaded anew: our tables, with
// nft flush ruleset, or a part of them, or our rules in its chains.
func (s *session) heal() error {
	if len(s.Records) == 0 {
		return nil
	}
	if err := s.open(); err != nil {
		return err
	}
	return s.filter(true, nil, nil)
}

// recover removes what the dead have left, and who was killed while he made or
// removed an endpoint. It tells whether there was anything.
func (s *session) recover() (bool, error) {
	if err := s.Sweep(); err != nil {
		return false, err
	}
	return s.recoverIf(func(*record) bool { return true })
}

// recoverIf does so with the dead who may be in the way.
func (s *session) recoverIf(inTheWay func(*record) bool) (bool, error) {
	var dead []*record
	for _, r := range s.Records {
		if !r.Pending() && !inTheWay(r) {
			continue
		}
		alive, err := r.Alive(s.Boot)
		if err != nil {
			return false, err
		}
		// Who makes or removes an endpoint has the lock, which we have now.
		if !alive || r.Pending() {
			dead = append(dead, r)
		}
	}
	if err := s.release(dead); err != nil {
		return false, fmt.Errorf("remove what dead containers have left: %w", err)
	}
	return len(dead) > 0, nil
}

// release removes endpoints: links and rules, then the records. With the last
// endpoint of a network its bridge goes, and with the last of all what else was
// changed.
func (s *session) release(leaving []*record) error {
	links, err := s.detach(leaving)
	return s.discard(leaving, links, err)
}

// detach removes what lets packets of endpoints pass, and returns the links that
// are left. A link that goes on for a moment without rules is one out of which
// nothing comes: see the firewall's guard.
func (s *session) detach(leaving []*record) (links []string, errs error) {
	leftover := len(s.Records) == 0 && !s.changes.Empty()
	if len(leaving) == 0 && !leftover {
		return nil, nil
	}
	if err := s.open(); err != nil {
		return nil, err
	}
	// Of one that was pending nobody knows whether it has rules.
	known := !slices.ContainsFunc(leaving, (*record).Pending)
	for _, r := range leaving {
		errs = errors.Join(errs, r.SetPending(true))
	}
	fault("leaving")
	s.Records = slices.DeleteFunc(s.Records, func(r *record) bool { return slices.Contains(leaving, r) })
	for _, r := range leaving {
		links = append(links, r.HostInterface)
		if c := s.Config(r.Network); !s.Used(c) && !slices.Contains(links, c.Bridge) {
			links = append(links, c.Bridge)
		}
	}
	errs = errors.Join(errs, s.filter(known, nil, leaving))
	fault("rules removed")
	return links, errs
}

// discard removes links and, if all has gone well, the records. What was changed on
// the machine comes first: forwarding can be switched only between two links.
// devinet_sysctl_forward of net/ipv4/devinet.c
func (s *session) discard(leaving []*record, links []string, errs error) error {
	if len(s.Records) == 0 && !s.changes.Empty() && s.tables != nil {
		errs = errors.Join(errs, s.undo())
	}
	if len(links) > 0 {
		errs = errors.Join(errs, s.unlink(leaving, links))
		fault("unlinked")
	}
	if errs != nil {
		return errs // the records stay, and the next command tries again
	}
	for _, r := range leaving {
		errs = errors.Join(errs, r.Remove())
		fault("forgotten")
	}
	return errs
}

// unlink removes links, and while the kernel does that, what it remembers of
// flows.
func (s *session) unlink(leaving []*record, links []string) error {
	forgotten := make(chan error, 1)
	go func() { forgotten <- machine.ForgetUDP(describe.UDPPorts(leaving)) }()
	return errors.Join(s.links.Remove(links...), <-forgotten)
}

// undo undoes what was changed on the machine, unless another store needs it.
func (s *session) undo() error {
	others, err := s.tables.List(tables)
	if err != nil {
		return err
	}
	if len(others) > 0 {
		return nil // its containers need it: the next command of ours tries again
	}
	if err := s.changes.Undo(); err != nil {
		return err
	}
	fault("undone")
	return s.saveChanges()
}
