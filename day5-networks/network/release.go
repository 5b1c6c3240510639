package network

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"example.com/go-docker/day5-networks/firewall"
)

// Disconnect takes the container off the networks; if none is named, off all.
// Its network namespace may be gone. A default route does not move to another
// network.
func (n *Networks) Disconnect(o Owner, networks ...string) error {
	s, err := n.begin()
	if err != nil {
		return err
	}
	defer s.end()
	leaving := slices.DeleteFunc(slices.Clone(s.records), func(r *record) bool { return r.ID != o.ID })
	if len(networks) > 0 {
		ids := map[string]bool{}
		for _, name := range networks {
			c, err := find(s.configs, name)
			if err != nil {
				return err
			}
			if !slices.ContainsFunc(leaving, func(r *record) bool { return r.Network == c.ID }) {
				return fmt.Errorf("container %s is not on network %s", o.Name, c.Name)
			}
			ids[c.ID] = true
		}
		leaving = slices.DeleteFunc(leaving, func(r *record) bool { return !ids[r.Network] })
	}
	if err := s.release(leaving); err != nil {
		return fmt.Errorf("disconnect container %s: %w", o.Name, err)
	}
	return nil
}

// Recover removes what dead owners and killed commands have left: records,
// links, rules. It starts the resolvers that should run.
func (n *Networks) Recover() error {
	if _, err := os.Stat(n.dir); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	s, err := n.begin()
	if err != nil {
		return err
	}
	defer s.end()
	if err := s.recover(); err != nil {
		return err
	}
	var errs error
	for i := range s.configs {
		if s.used(&s.configs[i]) {
			errs = errors.Join(errs, n.startResolver(&s.configs[i]))
		}
	}
	return errs
}

func (s *session) recover() error {
	if err := s.sweep(); err != nil {
		return err
	}
	var dead []*record
	for _, r := range s.records {
		// Who makes or removes an endpoint has the lock, which we have now.
		alive, err := r.alive()
		if err != nil {
			return err
		}
		if !alive || r.pending {
			dead = append(dead, r)
		}
	}
	if err := s.release(dead); err != nil {
		return fmt.Errorf("remove what dead containers have left: %w", err)
	}
	return nil
}

// sweep removes directories of networks that were not quite made or removed.
func (s *session) sweep() error {
	entries, err := os.ReadDir(s.networks.dir)
	if err != nil {
		return err
	}
	var errs error
	for _, e := range entries {
		if e.IsDir() && s.config(e.Name()) == nil {
			errs = errors.Join(errs, os.RemoveAll(s.networks.path(e.Name())))
		}
	}
	return errs
}

// release removes endpoints: links and rules, then the records. With the last
// endpoint of a network its bridge goes, and with the last of all what else was
// changed. A link that goes on for a moment without rules is one out of which
// nothing comes: see the firewall's guard.
func (s *session) release(leaving []*record) error {
	leftover := len(s.records) == 0 && (len(s.changes.Values) > 0 || len(s.changes.Accepts) > 0)
	if len(leaving) == 0 && !leftover {
		return nil
	}
	if err := s.open(); err != nil {
		return err
	}
	var errs error
	for _, r := range leaving {
		// Of a plan that has failed there may be no record yet.
		if err := s.networks.rename(r, true); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = errors.Join(errs, err)
		}
	}
	fault("leaving")
	s.records = slices.DeleteFunc(s.records, func(r *record) bool { return slices.Contains(leaving, r) })
	var links []string
	for _, r := range leaving {
		links = append(links, r.HostInterface)
		if c := s.config(r.Network); !s.used(c) && !slices.Contains(links, c.Bridge) {
			links = append(links, c.Bridge)
		}
	}
	gone := make(chan error, 1)
	go func() { gone <- s.links.Remove(links...) }()
	errs = errors.Join(errs, s.filter())
	fault("rules removed")
	if len(s.records) == 0 {
		errs = errors.Join(errs, s.undo())
	}
	var forwards []firewall.Forward
	for _, r := range leaving {
		forwards = append(forwards, r.forwards()...)
	}
	errs = errors.Join(errs, firewall.Forget(forwards), <-gone)
	fault("unlinked")
	if errs != nil {
		return errs // the records stay, and the next command tries again
	}
	for _, r := range leaving {
		errs = errors.Join(errs, remove(s.networks.file(r, true)))
		fault("forgotten")
	}
	return errs
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
