package networks

import (
	"errors"
	"strconv"
	"time"

	urfave "github.com/urfave/cli/v2"

	"example.com/go-docker/day5-networks/commands/output"
	"example.com/go-docker/day5-networks/network"
	"example.com/go-docker/day5-networks/store"
)

// inspectedNetwork has the names and the order of docker network inspect.
type inspectedNetwork struct {
	Name       string
	ID         string `json:"Id"`
	Created    time.Time
	Scope      string
	Driver     string
	EnableIPv6 bool
	IPAM       inspectedIPAM
	Internal   bool
	Containers map[string]inspectedMember
	Options    map[string]string
}

type inspectedIPAM struct {
	Driver string
	Config []ipamConfig
}

type ipamConfig struct {
	Subnet  string
	IPRange string `json:",omitempty"`
	Gateway string
}

type inspectedMember struct {
	Name, EndpointID, MacAddress, IPv4Address, IPv6Address string
}

var inspect = &urfave.Command{
	Name:      "inspect",
	Usage:     "show everything about networks, as JSON",
	ArgsUsage: "NETWORK...",
	Flags: []urfave.Flag{
		&urfave.StringFlag{Name: "format", Aliases: []string{"f"}, Usage: "a `TEMPLATE`, like '{{.Name}}'"},
	},
	Action: withNetworks(1, -1, func(ctx *urfave.Context, s *store.Store, n *network.Networks) error {
		show, err := output.Objects(ctx.String("format"))
		if err != nil {
			return err
		}
		all, missing := []any{}, error(nil)
		for _, name := range ctx.Args().Slice() {
			i, err := inspectNetwork(n, name)
			if err != nil {
				missing = errors.Join(missing, err)
				continue
			}
			all = append(all, i)
		}
		return errors.Join(show(all), missing)
	}),
}

func inspectNetwork(n *network.Networks, name string) (*inspectedNetwork, error) {
	c, err := n.Find(name)
	if err != nil {
		return nil, err
	}
	members, err := n.OnRecord(c.ID)
	if err != nil {
		return nil, err
	}
	i := &inspectedNetwork{
		Name: c.Name, ID: c.ID, Created: c.Created, Scope: "local", Driver: "bridge", EnableIPv6: c.IPv6, Internal: c.Internal,
		IPAM: inspectedIPAM{Driver: "default"}, Containers: map[string]inspectedMember{},
		Options: map[string]string{"com.docker.network.bridge.name": c.Bridge},
	}
	if c.MTU > 0 {
		i.Options[mtuOption] = strconv.Itoa(c.MTU)
	}
	for k, subnet := range c.Subnets {
		config := ipamConfig{Subnet: subnet.String(), Gateway: c.Gateways[k].String()}
		if k < len(c.Ranges) && c.Ranges[k] != subnet {
			config.IPRange = c.Ranges[k].String()
		}
		i.IPAM.Config = append(i.IPAM.Config, config)
	}
	for _, e := range members {
		m := inspectedMember{Name: e.Name, EndpointID: e.HostInterface, MacAddress: e.MAC}
		for _, a := range e.Addresses {
			if a.Addr().Is4() {
				m.IPv4Address = a.String()
			} else {
				m.IPv6Address = a.String()
			}
		}
		i.Containers[e.ID] = m
	}
	return i, nil
}
