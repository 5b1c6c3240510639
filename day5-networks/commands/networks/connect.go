package networks

import (
	"fmt"

	urfave "github.com/urfave/cli/v2"

	"example.com/go-docker/day5-networks/commands/options"
	"example.com/go-docker/day5-networks/lifecycle"
	"example.com/go-docker/day5-networks/network"
	"example.com/go-docker/day5-networks/state"
	"example.com/go-docker/day5-networks/store"
)

var connect = &urfave.Command{
	Name:      "connect",
	Usage:     "connect a container to another network, now and at every start",
	ArgsUsage: "NETWORK CONTAINER",
	Flags: []urfave.Flag{
		&urfave.StringFlag{Name: "ip", Usage: "`ADDRESS` of the container"},
		&urfave.StringFlag{Name: "ip6", Usage: "IPv6 `ADDRESS` of the container"},
		&urfave.StringSliceFlag{Name: "alias", Usage: "another `NAME` on the network"},
	},
	Action: withNetworks(2, 2, func(ctx *urfave.Context, s *store.Store, n *network.Networks) error {
		var a network.Attachment
		var err error
		if a.IP, a.IP6, err = options.Addresses(ctx); err != nil {
			return err
		}
		if a.Aliases, err = options.Aliases(ctx.StringSlice("alias")); err != nil {
			return err
		}
		c, config, err := networkAndContainer(ctx, s, n)
		if err != nil {
			return err
		}
		if mode, err := state.ReadNetwork(c.Dir); err != nil {
			return err
		} else if mode.Mode != "" {
			return fmt.Errorf("container %s was made with --network %s, and cannot be on another", c.ID, mode.Mode)
		}
		a.Network = config.Name
		return c.Connect(a)
	}),
}

var disconnect = &urfave.Command{
	Name:      "disconnect",
	Usage:     "take a container off a network",
	ArgsUsage: "NETWORK CONTAINER",
	Action: withNetworks(2, 2, func(ctx *urfave.Context, s *store.Store, n *network.Networks) error {
		c, config, err := networkAndContainer(ctx, s, n)
		if err != nil {
			return err
		}
		return c.Disconnect(config.Name)
	}),
}

func networkAndContainer(ctx *urfave.Context, s *store.Store, n *network.Networks) (*lifecycle.Container, *network.Config, error) {
	config, err := n.Find(ctx.Args().Get(0))
	if err != nil {
		return nil, nil, err
	}
	c, err := lifecycle.Find(s, ctx.Args().Get(1))
	return c, config, err
}
