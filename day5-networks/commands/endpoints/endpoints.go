// Package endpoints tells commands which containers are on which networks, and
// which ports they publish there. The ladder has no rung for it.
package endpoints

import (
	"cmp"
	"slices"
	"strings"

	"example.com/go-docker/day5-networks/network"
	"example.com/go-docker/day5-networks/ports"
	"example.com/go-docker/day5-networks/store"
)

// Published returns the ports that a container's endpoints publish.
func Published(endpoints []network.Endpoint) (list []ports.Port) {
	for _, e := range endpoints {
		list = append(list, e.Ports...)
	}
	slices.SortFunc(list, func(a, b ports.Port) int {
		return cmp.Or(int(a.Port)-int(b.Port), strings.Compare(a.Protocol, b.Protocol))
	})
	return list
}

// ByContainer returns all endpoints by container, eth0 first.
func ByContainer(s *store.Store) (map[string][]network.Endpoint, error) {
	n, err := network.Open(s.Root)
	if err != nil {
		return nil, err
	}
	networks, err := n.List()
	if err != nil {
		return nil, err
	}
	all := map[string][]network.Endpoint{}
	for _, c := range networks {
		list, err := n.OnRecord(c.ID)
		if err != nil {
			return nil, err
		}
		for _, e := range list {
			all[e.ID] = append(all[e.ID], e)
		}
	}
	for _, list := range all {
		slices.SortFunc(list, func(a, b network.Endpoint) int { return strings.Compare(a.Interface, b.Interface) })
	}
	return all, nil
}
