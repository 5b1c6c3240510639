package link

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// A Bridge is a network's switch, and the host's own interface on it.
type Bridge struct {
	Name      string // at most 15 bytes
	MAC       net.HardwareAddr
	Addresses []netip.Prefix // the host's, IPv4 first
	MTU       int            // bytes; 0: that of the default route's link

	Others map[string]bool // bridges that may have routes in its networks: its own program's
}

// Ensure makes the bridge if it does not exist.
func (l *Links) Ensure(b Bridge) error {
	link, err := l.handle.LinkByName(b.Name)
	if err == nil {
		if _, ok := link.(*netlink.Bridge); !ok {
			return fmt.Errorf("make bridge %s: there is a link of that name that is not a bridge", b.Name)
		}
	} else if link, err = l.makeBridge(b); err != nil {
		return fmt.Errorf("make bridge %s: %w", b.Name, err)
	}
	for _, a := range b.Addresses {
		if err := l.addAddress(link, a); err != nil {
			return err
		}
	}
	if link.Attrs().Flags&unix.IFF_UP != 0 {
		return nil
	}
	// Allow packets from 127.0.0.1 to leave through the bridge to a published
	// port: ip-sysctl.rst, route_localnet. The firewall drops packets that come
	// in for 127.0.0.0/8.
	path := "/proc/sys/net/ipv4/conf/" + b.Name + "/route_localnet"
	if err := os.WriteFile(path, []byte("1\n"), 0); err != nil {
		return fmt.Errorf("let 127.0.0.1 reach bridge %s: %w", b.Name, err)
	}
	if err := l.handle.LinkSetUp(link); err != nil {
		return fmt.Errorf("set bridge %s up: %w", b.Name, err)
	}
	return nil
}

// makeBridge makes a bridge and leaves it down.
func (l *Links) makeBridge(b Bridge) (netlink.Link, error) {
	if err := l.stillFree(b); err != nil {
		return nil, err
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MTU = b.Name, b.MTU
	if b.MTU == 0 {
		var err error
		if attrs.MTU, err = l.uplink(); err != nil {
			return nil, err
		}
	}
	// Without an address of its own, a bridge takes the lowest of its ports'
	// addresses, so containers' entries for their gateway would be wrong
	// whenever a port comes or goes.
	attrs.HardwareAddr = b.MAC
	link := &netlink.Bridge{LinkAttrs: attrs}
	if err := l.handle.LinkAdd(link); err != nil {
		return nil, err
	}
	return link, l.noLinkLocal(link)
}

// stillFree returns an error if a route leads into a network of the bridge's: since
// the network was chosen, a VPN may have come. A wider route is in nobody's way,
// because the bridge's own comes before it.
func (l *Links) stillFree(b Bridge) error {
	taken, err := l.Taken(b.Others)
	if err != nil {
		return err
	}
	for _, a := range b.Addresses {
		for _, t := range taken {
			if t.Bits() >= a.Bits() && t.Overlaps(a) && !a.Addr().IsLinkLocalUnicast() {
				return fmt.Errorf("its subnet %s overlaps %s, to which this machine has a route now: remove the route, or make the network anew with another subnet", a.Masked(), t)
			}
		}
	}
	return nil
}

// uplink returns the MTU, in bytes, of the default route's link, or 1500 if
// there is none.
func (l *Links) uplink() (int, error) {
	routes, err := l.routes(unix.RT_TABLE_MAIN)
	if err != nil {
		return 0, err
	}
	for _, r := range routes {
		if r.Dst != nil && r.Dst.IP != nil && !r.Dst.IP.IsUnspecified() {
			continue
		}
		index := r.LinkIndex
		if index == 0 && len(r.MultiPath) > 0 {
			index = r.MultiPath[0].LinkIndex
		}
		link, err := l.handle.LinkByIndex(index)
		if err == nil && link.Attrs().Flags&unix.IFF_LOOPBACK == 0 {
			return max(1280, min(link.Attrs().MTU, 65535)), nil // IPv6 needs at least 1280
		}
	}
	return 1500, nil
}

// Taken returns the prefixes that have a route on this machine, in any table,
// except through the named links.
func (l *Links) Taken(except map[string]bool) ([]netip.Prefix, error) {
	routes, err := l.routes(unix.RT_TABLE_UNSPEC)
	if err != nil {
		return nil, err
	}
	ours := map[int]bool{}
	for name := range except {
		if link, err := l.handle.LinkByName(name); err == nil {
			ours[link.Attrs().Index] = true
		}
	}
	var taken []netip.Prefix
	for _, r := range routes {
		if r.Dst == nil || ours[r.LinkIndex] {
			continue
		}
		if a, ok := netip.AddrFromSlice(r.Dst.IP); ok {
			ones, _ := r.Dst.Mask.Size()
			taken = append(taken, netip.PrefixFrom(a.Unmap(), ones))
		}
	}
	return taken, nil
}

// routes returns the unicast routes of a table, or of all tables for
// RT_TABLE_UNSPEC.
func (l *Links) routes(table int) ([]netlink.Route, error) {
	filter := &netlink.Route{Table: table, Type: unix.RTN_UNICAST}
	routes, err := l.handle.RouteListFiltered(unix.AF_UNSPEC, filter, netlink.RT_FILTER_TABLE|netlink.RT_FILTER_TYPE)
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) && !errors.Is(err, syscall.EAFNOSUPPORT) {
		return nil, fmt.Errorf("list the routes: %w", err)
	}
	return routes, nil
}
