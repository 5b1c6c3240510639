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
		if !alive || !r.Ready {
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

// release removes endpoints: links, then rules, then the records. With the last
// endpoint of a network its bridge goes, and with the last of all what else was
// changed.
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
		r.Ready = false
		// It is not there if it could not be written in the first place.
		if _, err := os.Stat(s.networks.endpointFile(r)); err == nil {
			errs = errors.Join(errs, writeJSON(s.networks.endpointFile(r), r, false))
		}
	}
	fault("leaving")
	for _, r := range leaving {
		errs = errors.Join(errs, s.links.Remove(r.HostInterface))
		fault("unlinked")
	}
	s.records = slices.DeleteFunc(s.records, func(r *record) bool { return slices.Contains(leaving, r) })
	for _, r := range leaving {
		if c := s.config(r.Network); !s.used(c) {
			errs = errors.Join(errs, s.links.Remove(c.Bridge))
			fault("bridge removed")
		}
	}
	errs = errors.Join(errs, s.filter())
	fault("rules removed")
	if len(s.records) == 0 {
		errs = errors.Join(errs, s.undo())
	}
	for _, r := range leaving {
		errs = errors.Join(errs, firewall.Forget(r.forwards()))
	}
	if errs != nil {
		return errs // the records stay, and the next command tries again
	}
	for _, r := range leaving {
		errs = errors.Join(errs, remove(s.networks.endpointFile(r)))
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
