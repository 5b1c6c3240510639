package connection

import (
	"errors"
	"os"
	"path/filepath"
	"strings"

	"example.com/go-docker/day5-networks/inventory"
	"example.com/go-docker/day5-networks/lock"
	"example.com/go-docker/day5-networks/netstate"
	"example.com/go-docker/day5-networks/network"
)

// Recover removes what dead containers have left of networks, and starts
// resolvers that were killed, and puts back flushed rules. It first looks whether
// there is anything to do, which costs some microseconds for each container on a
// network, and some 50 for the rules.
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
	if found, _ := filepath.Glob(filepath.Join(networks, "*", "endpoints", id+",*.json")); len(found) == 0 {
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
// a record is pending, or somebody has flushed our nft tables, or something is
// changed on the machine for nobody.
func needsRecovery(root string) bool {
	networks := filepath.Join(root, "networks")
	used := false
	all, _ := os.ReadDir(networks) // there may be none
	for _, network := range all {
		records, _ := os.ReadDir(filepath.Join(networks, network.Name(), "endpoints"))
		for _, record := range records {
			id, _, _ := strings.Cut(record.Name(), ",")
			if !strings.HasSuffix(record.Name(), ".json") || !held(filepath.Join(root, "containers", id, inventory.Lock)) {
				return true
			}
		}
		if len(records) > 0 && !held(filepath.Join(networks, network.Name(), "resolver.lock")) {
			return true
		}
		used = used || len(records) > 0
	}
	if used {
		n, err := network.Open(root)
		if err != nil {
			return true
		}
		guarded, err := n.Guarded()
		return !guarded || err != nil
	}
	changed, _ := filepath.Glob(filepath.Join(networks, "changed*"))
	return len(changed) > 0
}

func held(path string) bool {
	file, err := lock.Probe(path)
	if err == nil {
		_ = file.Close()
	}
	return errors.Is(err, lock.ErrHeld)
}
