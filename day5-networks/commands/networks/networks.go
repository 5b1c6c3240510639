// Package networks has the subcommands of network: create, ls, rm, inspect,
// connect, disconnect and prune. The room network does the work.
//
// It grew from rung 06-bridge, where the bridge comes and goes with the boxes,
// and adds networks that have names and stay.
package networks

import (
	"fmt"

	"github.com/sirupsen/logrus"
	urfave "github.com/urfave/cli/v2"

	"example.com/go-docker/day5-networks/commands/action"
	"example.com/go-docker/day5-networks/commands/named"
	"example.com/go-docker/day5-networks/lifecycle"
	"example.com/go-docker/day5-networks/network"
	"example.com/go-docker/day5-networks/state"
	"example.com/go-docker/day5-networks/store"
)

// Command is the command network.
var Command = &urfave.Command{
	Name: "network", Usage: "manage networks",
	Subcommands: []*urfave.Command{create, list, remove, inspect, connect, disconnect, prune},
	Action: func(ctx *urfave.Context) error {
		if ctx.Args().Present() {
			return fmt.Errorf("unknown command %q: see network --help", "network "+ctx.Args().First())
		}
		return urfave.ShowSubcommandHelp(ctx)
	},
}

// withNetworks turns do into the action of a command with min to max arguments
// (-1: any number). It first removes what killed commands have left.
func withNetworks(min, max int, do func(ctx *urfave.Context, s *store.Store, n *network.Networks) error) urfave.ActionFunc {
	return func(ctx *urfave.Context) error {
		if given := ctx.NArg(); given < min || max >= 0 && given > max {
			if max == 0 {
				return fmt.Errorf("network %[1]s takes no arguments: see network %[1]s --help", ctx.Command.Name)
			}
			return fmt.Errorf("network %[1]s requires %[2]s: see network %[1]s --help", ctx.Command.Name, ctx.Command.ArgsUsage)
		}
		s, err := action.OpenStore(ctx)
		if err != nil {
			return err
		}
		n, err := network.Open(s.Root)
		if err == nil {
			err = n.Recover()
		}
		if err != nil {
			return err
		}
		return do(ctx, s, n)
	}
}

var remove = &urfave.Command{
	Name:      "rm",
	Aliases:   []string{"remove"},
	Usage:     "remove networks",
	ArgsUsage: "NETWORK...",
	Action: withNetworks(1, -1, func(ctx *urfave.Context, s *store.Store, n *network.Networks) error {
		return named.Each(ctx, func(name string) (string, error) { return name, removeNetwork(n, name) })
	}),
}

// removeNetwork removes a network that no container is on. It refuses the
// default network, which would come back on its next use; a user who names it
// probably means another.
func removeNetwork(n *network.Networks, name string) error {
	if name == network.DefaultName || name == state.HostMode || name == state.NoneMode {
		return fmt.Errorf("%s is a pre-defined network and cannot be removed", name)
	}
	return n.Remove(name)
}

var prune = &urfave.Command{
	Name:  "prune",
	Usage: "remove all networks that no container uses",
	Flags: []urfave.Flag{&urfave.BoolFlag{Name: "force", Aliases: []string{"f"}, Usage: "do not ask", DisableDefaultText: true}},
	Action: withNetworks(0, 0, func(ctx *urfave.Context, s *store.Store, n *network.Networks) error {
		if !named.Confirmed(ctx, "custom networks not used by at least one container") {
			return nil
		}
		wanted, err := wantedNetworks(s)
		if err != nil {
			return err
		}
		all, err := n.List()
		if err != nil {
			return err
		}
		for _, c := range all {
			if c.Name == network.DefaultName || wanted[c.Name] {
				continue
			}
			if c.Damaged != nil { // who knows whether it is wanted
				logrus.Warn(c.Damaged)
				continue
			}
			if err := n.Remove(c.ID); err != nil {
				logrus.Warn(err) // a container has just connected
				continue
			}
			fmt.Println(c.Name)
		}
		return nil
	}),
}

// wantedNetworks returns the networks that a container is on, or will be when
// it starts.
func wantedNetworks(s *store.Store) (map[string]bool, error) {
	all, err := lifecycle.List(s)
	if err != nil {
		return nil, err
	}
	wanted := map[string]bool{}
	for _, c := range all {
		config, err := state.ReadNetwork(c.Dir)
		if err != nil {
			return nil, err
		}
		for _, a := range config.Attachments {
			wanted[a.Network] = true
		}
	}
	return wanted, nil
}
