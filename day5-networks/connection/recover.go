package connection

import (
	"errors"
	"path/filepath"
	"strings"

	"example.com/go-docker/day5-networks/lock"
	"example.com/go-docker/day5-networks/netstate"
	"example.com/go-docker/day5-networks/network"
)

// Recover removes what dead containers have left of networks, and starts
// resolvers that were killed. It first looks whether there is anything to do, which
// costs some microseconds for each container on a network.
func Recover(root string) error {
	if !needsRecovery(root) {
		return nil
	}
	n, err := network.Open(root)
	if err != nil {
		return err
	}
	return n.Recover()
}

// Rename gives a container another name on its networks, where the old one is
// forgotten. In its /etc/hosts that happens at its next start.
func Rename(root, id, name string) error {
	networks := filepath.Join(root, "networks")
	if found, _ := filepath.Glob(filepath.Join(networks, "*", "endpoints", id+".json")); len(found) == 0 {
		return nil
	}
	s, err := netstate.Store{Dir: networks}.Begin()
	if err != nil {
		return err
	}
	defer s.End()
	return s.Rename(id, name)
}

// needsRecovery tells whether a record's owner, or a resolver, is dead, or
// a record is pending, or something is changed on the machine for nobody.
func needsRecovery(root string) bool {
	records, _ := filepath.Glob(filepath.Join(root, "networks", "*", "endpoints", "*"))
	used := map[string]bool{}
	for _, path := range records {
		id, complete := strings.CutSuffix(filepath.Base(path), ".json")
		if !complete || !held(filepath.Join(root, "containers", id, "lock")) {
			return true
		}
		used[filepath.Dir(filepath.Dir(path))] = true
	}
	for dir := range used {
		if !held(filepath.Join(dir, "resolver.lock")) {
			return true
		}
	}
	if len(used) > 0 {
		return false
	}
	changed, _ := filepath.Glob(filepath.Join(root, "networks", "changed*"))
	return len(changed) > 0
}

func held(path string) bool {
	file, err := lock.Probe(path)
	if err == nil {
		_ = file.Close()
	}
	return errors.Is(err, lock.ErrHeld)
}
