package network

import (
	"errors"

	"example.com/go-docker/day5-networks/describe"
	"example.com/go-docker/day5-networks/firewall"
	"example.com/go-docker/day5-networks/link"
	"example.com/go-docker/day5-networks/machine"
	"example.com/go-docker/day5-networks/netstate"
)

// A session is the time in which one process alone changes networks: what there
// is on the disk, and ways to the kernel.
type session struct {
	*netstate.Session
	networks *Networks
	changes  machine.Changes // changed.json

	links  *link.Links      // nil until used
	tables *firewall.Tables // nil until used

	resolvers Resolvers // for who has the session to start
}

// begin waits for the lock and reads what there is.
func (n *Networks) begin() (*session, error) {
	on, err := n.store.Begin()
	if err != nil {
		return nil, err
	}
	s := &session{Session: on, networks: n}
	if err := s.readChanges(); err != nil {
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
	s.End()
}

// readChanges reads what was changed in this boot.
func (s *session) readChanges() error {
	err := s.ReadChanges(&s.changes)
	if err == nil && s.changes.Boot != s.Boot {
		s.changes = machine.Changes{Boot: s.Boot}
		err = s.WriteChanges(nil)
	}
	s.changes.Save = s.saveChanges
	return err
}

// saveChanges writes changed.json, or removes it when nothing is changed.
func (s *session) saveChanges() error {
	if s.changes.Empty() {
		return s.WriteChanges(nil)
	}
	defer fault("changed.json")
	return s.WriteChanges(&s.changes)
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

// filter puts the rules in place that the records call for, and sees to it that
// other people's firewalls let our networks pass. If it is known what
// has come and gone since they were put there last, only that is changed.
func (s *session) filter(known bool, come, gone []*record) error {
	d := firewall.Description{Prefix: s.LinkPrefix, Alone: s.changes.Alone(), Kin: kin}
	var bridges []string
	for _, c := range s.used() {
		d.Networks = append(d.Networks, describe.Network(c))
		bridges = append(bridges, c.Bridge)
	}
	note, done, err := "", false, error(nil)
	if known {
		note, done, err = s.tables.Change(s.Note(), d, describe.Endpoints(come), describe.Endpoints(gone))
	}
	if !done && err == nil {
		if err := s.Load(); err != nil {
			return err
		}
		d.Endpoints = describe.Endpoints(s.Records)
		note, err = s.tables.Replace(d)
	}
	if err == nil {
		err = s.SetNote(note)
	}
	if err != nil {
		return err
	}
	fault("rules")
	return s.changes.Foreign(tables, bridges)
}

// used are the networks that somebody is on.
func (s *session) used() (all []*Config) {
	for i := range s.Configs {
		if c := &s.Configs[i]; s.Used(c) {
			all = append(all, c)
		}
	}
	return all
}

// own are a container's records, loaded.
func (s *session) own(o Owner) (all []*record, err error) {
	for _, r := range s.Records {
		if r.ID == o.ID {
			err = errors.Join(err, r.Load())
			all = append(all, r)
		}
	}
	return all, err
}
