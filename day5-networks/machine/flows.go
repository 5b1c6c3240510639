package machine

import (
	"errors"
	"fmt"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// ForgetUDP makes the kernel forget the UDP flows to these ports of the host. A
// flow whose packets keep coming never ends, and goes on to where its first
// packet went: to a container that is no more, or to none, although one has
// published the port since. TCP's connections end with those who have them.
//
// The kernel goes through its whole table for it, 10 ms for 262,144 buckets; so
// it is asked as rarely as possible.
func ForgetUDP(ports []uint16) error {
	var filters []netlink.CustomConntrackFilter
	for _, port := range ports {
		filter := &netlink.ConntrackFilter{}
		if err := filter.AddProtocol(unix.IPPROTO_UDP); err != nil {
			return err
		}
		if err := filter.AddPort(netlink.ConntrackOrigDstPort, port); err != nil {
			return err
		}
		filters = append(filters, filter)
	}
	if len(filters) == 0 || none() {
		return nil
	}
	handle, err := netlink.NewHandle(unix.NETLINK_NETFILTER)
	if err != nil {
		return fmt.Errorf("open a netlink socket for conntrack: %w", err)
	}
	defer func() { go handle.Close() }() // as firewall.Tables does
	flows, err := handle.ConntrackTableList(netlink.ConntrackTable, unix.AF_UNSPEC)
	found := map[netlink.InetFamily]bool{}
	for _, flow := range flows {
		for _, filter := range filters {
			if filter.MatchConntrackFlow(flow) {
				found[netlink.InetFamily(flow.FamilyType)] = true
			}
		}
	}
	for family := range found {
		_, e := handle.ConntrackDeleteFilters(netlink.ConntrackTable, family, filters...)
		err = errors.Join(err, e)
	}
	if err != nil {
		return fmt.Errorf("forget old UDP flows to the published ports: %w", err)
	}
	return nil
}

// none tells whether the kernel knows no flow of this network namespace.
// nf_conntrack-sysctl.rst
func none() bool {
	count, err := read("/proc/sys/net/netfilter/nf_conntrack_count")
	return err == nil && count == "0"
}
