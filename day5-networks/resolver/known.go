package resolver

import (
	"cmp"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"example.com/go-docker/day5-networks/names"
	"example.com/go-docker/day5-networks/netstate"
)

// known is what the records of all networks say, read again when they change.
type known struct {
	networks netstate.Store
	own      netstate.Config
	events   *os.File

	mu        sync.Mutex
	version   string // of the fields below
	configs   []netstate.Config
	endpoints map[string][]netstate.Endpoint // by network
	tables    map[string]*names.Table        // by the IDs of the networks in it
}

// lookup returns the names that a client may know, or nil if it is not on our
// network.
func (k *known) lookup(client netip.Addr) *names.Table {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.refresh()
	var visible []string
	switch owner := k.ownerOf(client); {
	case owner != nil:
		visible = k.networksOf(owner.ID)
	case isHost(client):
		visible = []string{k.own.ID}
	default:
		return nil
	}
	key := strings.Join(visible, " ")
	if k.tables[key] == nil {
		k.tables[key] = k.table(visible)
	}
	return k.tables[key]
}

// isHost reports whether an address is one of this machine's. It checks them
// all, because rules, ours or others', may change which one the machine uses to
// reach itself.
func isHost(client netip.Addr) bool {
	addresses, err := net.InterfaceAddrs()
	return err == nil && slices.ContainsFunc(addresses, func(a net.Addr) bool {
		own, err := netip.ParsePrefix(a.String())
		return err == nil && own.Addr() == client
	})
}

// ownerOf returns the container on our network that has an address.
func (k *known) ownerOf(client netip.Addr) *netstate.Endpoint {
	for i, e := range k.endpoints[k.own.ID] {
		if slices.ContainsFunc(e.Addresses, func(p netip.Prefix) bool { return p.Addr() == client }) {
			return &k.endpoints[k.own.ID][i]
		}
	}
	return nil
}

// networksOf returns the networks that a container is on, that of eth0 first.
func (k *known) networksOf(id string) (ids []string) {
	var own []netstate.Endpoint
	for _, list := range k.endpoints {
		for _, e := range list {
			if e.ID == id {
				own = append(own, e)
			}
		}
	}
	slices.SortFunc(own, func(a, b netstate.Endpoint) int {
		return cmp.Or(len(a.Interface)-len(b.Interface), strings.Compare(a.Interface, b.Interface)) // eth2 before eth10
	})
	for _, e := range own {
		ids = append(ids, e.Network)
	}
	return ids
}

// table returns the names on some networks. A name that is on two of them has
// the addresses of the first, as if the networks were asked in turn.
func (k *known) table(ids []string) *names.Table {
	t := new(names.Table)
	first := map[string]string{} // the network that a name is taken from
	for _, id := range ids {
		i := slices.IndexFunc(k.configs, func(c netstate.Config) bool { return c.ID == id })
		if i < 0 {
			continue
		}
		t.Prefixes = append(t.Prefixes, k.configs[i].Subnets...)
		for _, e := range k.endpoints[id] {
			var addresses []netip.Addr
			for _, p := range e.Addresses {
				addresses = append(addresses, p.Addr())
			}
			called := cmp.Or(e.Name, e.ID)
			for _, name := range append([]string{called + "." + k.configs[i].Name, called, e.ID}, e.Aliases...) {
				if name = strings.ToLower(name); cmp.Or(first[name], id) == id {
					first[name] = id
					t.Add(name, addresses...)
				}
			}
		}
	}
	return t
}

// settled is how old the last change must be before a directory's time can tell
// it from a later one, because file systems' clocks may tick only a hundred
// times a second.
const settled = 50 * time.Millisecond

// refresh reads what has changed.
func (k *known) refresh() {
	dirs, err := filepath.Glob(k.networks.Path("*", "endpoints"))
	if err != nil {
		return
	}
	var version strings.Builder
	recent := false
	for _, dir := range dirs {
		info, err := os.Stat(dir)
		if err != nil {
			continue // it was just removed
		}
		fmt.Fprintln(&version, dir, info.ModTime().UnixNano())
		recent = recent || time.Since(info.ModTime()) < settled
	}
	if version.String() == k.version {
		return
	}
	configs, err := k.networks.ReadConfigs()
	if err != nil {
		return // what we know is better than nothing
	}
	endpoints := map[string][]netstate.Endpoint{}
	for _, c := range configs {
		if endpoints[c.ID], err = k.networks.OnRecord(c.ID); err != nil {
			return
		}
	}
	k.configs, k.endpoints, k.tables, k.version = configs, endpoints, map[string]*names.Table{}, version.String()
	if recent {
		k.version = ""
	}
}

// containerDir returns the directory of the container that has an address, or
// "".
func (k *known) containerDir(client netip.Addr) string {
	k.mu.Lock()
	defer k.mu.Unlock()
	if e := k.ownerOf(client); e != nil {
		return filepath.Dir(e.Lock)
	}
	return ""
}

// isOurs reports whether an address is that of one of our resolvers.
func (k *known) isOurs(a netip.Addr) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.ContainsFunc(k.configs, func(c netstate.Config) bool { return slices.Contains(c.Gateways, a) })
}
