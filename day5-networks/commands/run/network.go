package run

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	urfave "github.com/urfave/cli/v2"

	"example.com/go-docker/day5-networks/lifecycle"
	"example.com/go-docker/day5-networks/network"
	"example.com/go-docker/day5-networks/ports"
	"example.com/go-docker/day5-networks/state"
	"example.com/go-docker/day5-networks/store"
)

// resolveNetwork adds what is in the store: the networks, the other container,
// the image's ports.
func (p *plan) resolveNetwork(ctx *urfave.Context, s *store.Store) error {
	for _, text := range slices.Sorted(maps.Keys(p.image.Config.Config.ExposedPorts)) {
		list, err := ports.Exposed(text)
		if err != nil {
			return fmt.Errorf("the image: %w", err)
		}
		p.network.Exposed = append(p.network.Exposed, list...)
	}
	if ctx.Bool("publish-all") {
		for _, e := range p.network.Exposed {
			if !slices.ContainsFunc(p.network.Ports, func(o ports.Port) bool { return o.Port == e.Port && o.Protocol == e.Protocol }) {
				p.network.Ports = append(p.network.Ports, e)
			}
		}
	}
	networks, err := network.Open(s.Root)
	if err != nil {
		return err
	}
	for i, a := range p.network.Attachments {
		c, err := networks.Find(a.Network)
		if err != nil {
			if errors.Is(err, network.ErrNone) {
				err = fmt.Errorf("%w: make it with network create", network.ErrNone)
			}
			return fmt.Errorf("--network %s: %w", a.Network, err)
		}
		p.network.Attachments[i].Network = c.Name
	}
	return p.joinNetwork(s)
}

// joinNetwork sets what follows from the mode: whose network namespace and host
// name the container gets.
func (p *plan) joinNetwork(s *store.Store) error {
	c := p.container
	switch {
	case p.network.Mode == state.HostMode:
		c.SharesNet = true
		if !p.hostnameSet {
			own, err := os.Hostname()
			if err != nil {
				return err
			}
			c.Hostname = own
		}
	case p.network.Peer() != "":
		c.SharesNet = true
		other, err := lifecycle.Find(s, p.network.Peer())
		if err != nil {
			return fmt.Errorf("--network %s: %w", p.network.Mode, err)
		}
		if !other.State.Live() {
			return fmt.Errorf("--network %s: %w: start it first", p.network.Mode, lifecycle.ErrNotRunning)
		}
		theirs, err := state.ReadConfig(other.Dir)
		if err != nil {
			return err
		}
		if through, err := state.ReadNetwork(other.Dir); err == nil && through.Peer() != "" {
			p.network.Mode = through.Mode // it names the namespace's owner
			other.Dir = filepath.Join(filepath.Dir(other.Dir), through.Peer())
		} else {
			p.network.Mode = "container:" + other.ID
		}
		c.Hostname, p.peerDir = theirs.Container.Hostname, other.Dir
	}
	return nil
}
