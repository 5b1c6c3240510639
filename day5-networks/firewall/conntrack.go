package firewall

import (
	"fmt"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Forget makes the kernel forget the UDP flows to these ports of the host. A
// flow whose packets keep coming never ends, and goes on to where its first
// packet went: to a container that is no more, or to none, although one has
// published the port since. TCP's connections end with those who have them.
func Forget(forwards []Forward) error {
	var filters []netlink.CustomConntrackFilter
	for _, f := range forwards {
		if f.Protocol != "udp" {
			continue
		}
		filter := &netlink.ConntrackFilter{}
		if err := filter.AddProtocol(unix.IPPROTO_UDP); err != nil {
			return err
		}
		if err := filter.AddPort(netlink.ConntrackOrigDstPort, f.From.Port()); err != nil {
			return err
		}
		filters = append(filters, filter)
	}
	if len(filters) == 0 {
		return nil
	}
	handle, err := netlink.NewHandle(unix.NETLINK_NETFILTER)
	if err != nil {
		return fmt.Errorf("open a netlink socket for conntrack: %w", err)
	}
	defer func() { go handle.Close() }() // see Tables.Close
	for _, family := range []netlink.InetFamily{unix.AF_INET, unix.AF_INET6} {
		if _, err := handle.ConntrackDeleteFilters(netlink.ConntrackTable, family, filters...); err != nil {
			return fmt.Errorf("forget old UDP flows to the published ports: %w", err)
		}
	}
	return nil
}
