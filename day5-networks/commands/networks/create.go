package networks

import (
	"cmp"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	urfave "github.com/urfave/cli/v2"

	"example.com/go-docker/day5-networks/address"
	"example.com/go-docker/day5-networks/network"
	"example.com/go-docker/day5-networks/store"
)

const mtuOption = "com.docker.network.driver.mtu"

var create = &urfave.Command{
	Name:      "create",
	Usage:     "make a network",
	ArgsUsage: "NAME",
	Flags: []urfave.Flag{
		&urfave.StringFlag{Name: "driver", Aliases: []string{"d"}, Value: "bridge", Usage: "bridge is the only `DRIVER`"},
		&urfave.StringSliceFlag{Name: "subnet", Usage: "`CIDR`, one of IPv4 and one of IPv6 (default: free ones)"},
		&urfave.StringSliceFlag{Name: "gateway", Usage: "`ADDRESS` of the host on the network (default: the first)"},
		&urfave.StringSliceFlag{Name: "ip-range", Usage: "`CIDR` to take containers' addresses from"},
		&urfave.BoolFlag{Name: "internal", Usage: "allow no access to the outside", DisableDefaultText: true},
		&urfave.BoolFlag{Name: "ipv6", Usage: "use IPv6, too", DisableDefaultText: true},
		&urfave.StringSliceFlag{Name: "opt", Aliases: []string{"o"}, Usage: "`NAME=VALUE`: mtu, also as " + mtuOption},
	},
	Action: withNetworks(1, 1, func(ctx *urfave.Context, s *store.Store, n *network.Networks) error {
		config, err := networkConfigFromFlags(ctx)
		if err != nil {
			return err
		}
		made, err := n.Create(config)
		if err != nil {
			return err
		}
		fmt.Println(made.ID)
		return nil
	}),
}

func networkConfigFromFlags(ctx *urfave.Context) (network.Config, error) {
	c := network.Config{Name: ctx.Args().First(), Internal: ctx.Bool("internal"), IPv6: ctx.Bool("ipv6")}
	if driver := ctx.String("driver"); driver != "bridge" {
		return c, fmt.Errorf("invalid --driver %q: bridge is the only one here", driver)
	}
	if c.Name == network.DefaultName {
		return c, fmt.Errorf("network with name %s already exists: it is made at its first use", c.Name)
	}
	var err error
	if c.Subnets, err = prefixesFrom("subnet", ctx.StringSlice("subnet")); err != nil {
		return c, err
	}
	if c.Ranges, err = prefixesFrom("ip-range", ctx.StringSlice("ip-range")); err != nil {
		return c, err
	}
	if len(c.Subnets) == 0 && len(c.Ranges)+len(ctx.StringSlice("gateway")) > 0 {
		return c, fmt.Errorf("--gateway and --ip-range need the --subnet that they are in")
	}
	for _, text := range ctx.StringSlice("gateway") {
		gateway, err := address.ParseAddr("gateway", text)
		if err != nil {
			return c, err
		}
		c.Gateways = append(c.Gateways, gateway)
	}
	if err := cmp.Or(onePerVersion("gateway", c.Gateways, netip.Addr.Is4), onePerVersion("ip-range", c.Ranges, func(p netip.Prefix) bool { return p.Addr().Is4() })); err != nil {
		return c, err
	}
	for _, text := range ctx.StringSlice("opt") {
		name, value, _ := strings.Cut(text, "=")
		if name != "mtu" && name != mtuOption {
			return c, fmt.Errorf("invalid --opt %q: mtu is the only one here", text)
		}
		if c.MTU, err = strconv.Atoi(value); err != nil || c.MTU <= 0 {
			return c, fmt.Errorf("invalid --opt %q: want a number of bytes", text)
		}
	}
	return c, nil
}

// onePerVersion refuses a second value for a version of IP, which could only be
// ignored.
func onePerVersion[T fmt.Stringer](flag string, list []T, is4 func(T) bool) error {
	if len(list) > 2 || len(list) == 2 && is4(list[0]) == is4(list[1]) {
		return fmt.Errorf("invalid --%s %s: there is one already", flag, list[len(list)-1])
	}
	return nil
}

// prefixesFrom reads subnets or ranges, and puts those of IPv4 first.
func prefixesFrom(flag string, texts []string) (list []netip.Prefix, err error) {
	for _, text := range texts {
		p, err := address.ParsePrefix(flag, text)
		if err != nil {
			return nil, err
		}
		if p.Addr().Is4() {
			list = append([]netip.Prefix{p}, list...)
		} else {
			list = append(list, p)
		}
	}
	return list, nil
}
