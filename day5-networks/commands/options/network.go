package options

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	urfave "github.com/urfave/cli/v2"

	"example.com/go-docker/day5-networks/address"
	"example.com/go-docker/day5-networks/network"
	"example.com/go-docker/day5-networks/ports"
	"example.com/go-docker/day5-networks/state"
)

// NetworkFlags are about a container's networks, ports and names.
func NetworkFlags() []urfave.Flag {
	return []urfave.Flag{
		&urfave.StringSliceFlag{Name: "network", Aliases: []string{"net"}, Usage: "`NETWORK`, host, none, or container:ID (default: bridge)"},
		&urfave.StringSliceFlag{Name: "publish", Aliases: []string{"p"}, Usage: "publish `[[IP:]HOST:]PORT[/udp]` of the container"},
		&urfave.BoolFlag{Name: "publish-all", Aliases: []string{"P"}, Usage: "publish all ports that the image exposes", DisableDefaultText: true},
		&urfave.StringFlag{Name: "ip", Usage: "`ADDRESS` of the container"},
		&urfave.StringFlag{Name: "ip6", Usage: "IPv6 `ADDRESS` of the container"},
		&urfave.StringFlag{Name: "mac-address", Usage: "Ethernet `ADDRESS` of the container"},
		&urfave.StringSliceFlag{Name: "network-alias", Usage: "another `NAME` on the network"},
		&urfave.StringSliceFlag{Name: "dns", Usage: "`ADDRESS` of a server to ask instead of the host's"},
		&urfave.StringSliceFlag{Name: "dns-search", Usage: "`DOMAIN` to search; . for none"},
		&urfave.StringSliceFlag{Name: "dns-option", Aliases: []string{"dns-opt"}, Usage: "`OPTION` of resolv.conf, like ndots:1"},
	}
}

// Network returns how to connect the container, as far as the command line
// alone determines it.
func Network(ctx *urfave.Context) (*state.Network, error) {
	n := new(state.Network)
	var err error
	if n.Hosts, err = Hosts(ctx); err != nil {
		return nil, err
	}
	for _, text := range ctx.StringSlice("publish") {
		list, err := ports.Parse(text)
		if err != nil {
			return nil, err
		}
		if list[0].HostIP == netip.IPv6Loopback() {
			return nil, fmt.Errorf("invalid port %q: IPv6 has no way from [::1] into a container: use 127.0.0.1", text)
		}
		n.Ports = append(n.Ports, list...)
	}
	for _, text := range ctx.StringSlice("dns") {
		server, err := address.ParseAddr("dns", text)
		if err != nil {
			return nil, err
		}
		n.DNS = append(n.DNS, server)
	}
	n.Search, n.Options = ctx.StringSlice("dns-search"), ctx.StringSlice("dns-option")
	for _, word := range slices.Concat(n.Search, n.Options) {
		if !isWord(word) {
			return nil, fmt.Errorf("invalid --dns-search or --dns-option %q: want one word", word)
		}
	}
	wanted := ctx.StringSlice("network")
	if len(wanted) == 0 {
		wanted = []string{network.DefaultName}
	}
	if mode := wanted[0]; mode == state.HostMode || mode == state.NoneMode || strings.HasPrefix(mode, "container:") {
		n.Mode = mode
		if len(wanted) > 1 {
			return nil, fmt.Errorf("conflicting options: --network %s and another network", mode)
		}
		return n, checkMode(ctx, n)
	}
	n.Attachments, err = attachmentsFromFlags(ctx, wanted)
	return n, err
}

// checkMode refuses flags that mean nothing if the container has no network of
// its own.
func checkMode(ctx *urfave.Context, n *state.Network) error {
	for _, flag := range []string{"publish", "publish-all", "ip", "ip6", "mac-address", "network-alias"} {
		if ctx.IsSet(flag) {
			return fmt.Errorf("conflicting options: --%s and --network %s: there is no network of the container's own", flag, n.Mode)
		}
	}
	if !strings.HasPrefix(n.Mode, "container:") {
		return nil
	}
	if n.Peer() == "" {
		return fmt.Errorf("invalid --network %q: want container: and a container's name or ID", n.Mode)
	}
	for _, flag := range []string{"hostname", "add-host", "dns", "dns-search", "dns-option"} {
		if ctx.IsSet(flag) {
			return fmt.Errorf("conflicting options: --%s and --network %s: the other container's files are shared", flag, n.Mode)
		}
	}
	return nil
}

func attachmentsFromFlags(ctx *urfave.Context, networks []string) ([]network.Attachment, error) {
	var list []network.Attachment
	for _, name := range networks {
		if name == "host" || name == "none" || strings.HasPrefix(name, "container:") {
			return nil, fmt.Errorf("conflicting options: --network %s and another network", name)
		}
		list = append(list, network.Attachment{Network: name})
	}
	first := &list[0]
	first.MAC = ctx.String("mac-address")
	// as in is_valid_ether_addr, linux/etherdevice.h
	if hw, err := net.ParseMAC(first.MAC); first.MAC != "" && (err != nil || len(hw) != 6 || hw[0]&1 == 1 || hw.String() == "00:00:00:00:00:00") {
		return nil, fmt.Errorf("invalid --mac-address %q: want six pairs of digits, such as 02:42:0a:09:00:02, of a single host", first.MAC)
	}
	var err error
	if first.IP, first.IP6, err = Addresses(ctx); err != nil {
		return nil, err
	}
	first.Aliases, err = Aliases(ctx.StringSlice("network-alias"))
	return list, err
}

// Addresses reads --ip and --ip6 for run and network connect.
func Addresses(ctx *urfave.Context) (ip, ip6 netip.Addr, err error) {
	if text := ctx.String("ip"); text != "" {
		if ip, err = address.ParseAddr("ip", text); err == nil && !ip.Is4() {
			err = fmt.Errorf("invalid --ip %q: want an IPv4 address", text)
		}
		if err != nil {
			return ip, ip6, err
		}
	}
	if text := ctx.String("ip6"); text != "" {
		if ip6, err = address.ParseAddr("ip6", text); err == nil && !ip6.Is6() {
			err = fmt.Errorf("invalid --ip6 %q: want an IPv6 address", text)
		}
	}
	return ip, ip6, err
}

// Aliases checks the aliases given to run or network connect.
func Aliases(list []string) ([]string, error) {
	for _, alias := range list {
		const known = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-"
		// A longer label could not be asked for: RFC 1035, section 2.3.4.
		bad := func(label string) bool { return label == "" || len(label) > 63 }
		if len(alias) > 253 || strings.Trim(alias, known) != "" || slices.ContainsFunc(strings.Split(alias, "."), bad) {
			return nil, fmt.Errorf("invalid alias %q: want a name of a-z A-Z 0-9 _ . -, at most 63 between dots", alias)
		}
	}
	return list, nil
}
