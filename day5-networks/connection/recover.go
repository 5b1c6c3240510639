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
	for _, network := range list(networks) {
		records := list(filepath.Join(networks, network, "endpoints"))
		for _, record := range records {
			id, _, _ := strings.Cut(record, ",")
			if !strings.HasSuffix(record, ".json") || !held(filepath.Join(root, "containers", id, inventory.Lock)) {
				return true
			}
		}
		if len(records) > 0 && !held(filepath.Join(networks, network, "resolver.lock")) {
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

// list returns the names in a directory; none if there is no such.
func list(path string) []string {
	dir, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer dir.Close()
	names, _ := dir.Readdirnames(-1)
	return names
}

func held(path string) bool {
	file, err := lock.Probe(path)
	if err == nil {
		_ = file.Close()
	}
	return errors.Is(err, lock.ErrHeld)
}
