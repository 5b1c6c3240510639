package link

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// A Pair is a link in the host's network namespace, a port on a bridge, and its
// other end in a container's.
type Pair struct {
	Bridge    string
	Host      string // name of the end on the bridge
	Container string // name of the end in the container: eth0
	MAC       net.HardwareAddr
	Addresses []netip.Prefix // the container's, including link-local ones, which the kernel does not add
	Gateways  []netip.Addr   // default routes
}

// Plug makes a pair with its second end in the network namespace. Both ends are
// up, but the container's has no address yet, so no packets pass.
func (l *Links) Plug(namespace *os.File, p Pair) error {
	bridge, err := l.handle.LinkByName(p.Bridge)
	if err != nil {
		return fmt.Errorf("connect to bridge %s: %w", p.Bridge, err)
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MTU, attrs.MasterIndex = p.Host, bridge.Attrs().MTU, bridge.Attrs().Index
	host := &netlink.Veth{
		LinkAttrs:     attrs,
		PeerName:      p.Container,
		PeerNamespace: netlink.NsFd(namespace.Fd()), PeerHardwareAddr: p.MAC,
	}
	if err := l.handle.LinkAdd(host); err != nil {
		if errors.Is(err, syscall.EEXIST) {
			err = fmt.Errorf("%w: has the container a link %s already?", err, p.Container)
		}
		return fmt.Errorf("make the links %s and, in the container, %s: %w", p.Host, p.Container, err)
	}
	if err := errors.Join(l.noLinkLocal(host), l.asPort(host, p.MAC)); err != nil {
		return err
	}
	if err := l.handle.LinkSetUp(host); err != nil {
		return fmt.Errorf("set link %s up: %w", p.Host, err)
	}
	inside, err := openAt(namespace)
	if err != nil {
		return err
	}
	defer inside.Close()
	end, err := inside.handle.LinkByName(p.Container)
	if err == nil {
		err = inside.noLinkLocal(end)
	}
	if err == nil {
		err = inside.handle.LinkSetUp(end)
	}
	if err != nil {
		return fmt.Errorf("set link %s up in the container: %w", p.Container, err)
	}
	return nil
}

// asPort sets how the bridge treats its port to the container with this
// address.
func (l *Links) asPort(host netlink.Link, mac net.HardwareAddr) error {
	// With bridge-nf-call-iptables, a packet from a container to a port that it
	// or a neighbour publishes is translated on the bridge and goes back where
	// it came from. A bridge port allows that only in hairpin mode. bridge(8)
	if err := l.handle.LinkSetHairpin(host, true); err != nil {
		return fmt.Errorf("set hairpin mode on link %s: %w", host.Attrs().Name, err)
	}
	// A bridge learns addresses from every frame that comes in through a port,
	// some of them, such as LLDP, before any rule sees them. So a container
	// that sends from a neighbour's address would get that neighbour's packets.
	// We tell the bridge the address instead of letting it learn.
	// br_handle_frame in net/bridge/br_input.c
	if err := l.handle.LinkSetLearning(host, false); err != nil {
		return fmt.Errorf("keep the bridge from learning at link %s: %w", host.Attrs().Name, err)
	}
	here := &netlink.Neigh{LinkIndex: host.Attrs().Index, Family: unix.AF_BRIDGE, Flags: netlink.NTF_MASTER, State: netlink.NUD_NOARP, HardwareAddr: mac}
	if err := l.handle.NeighSet(here); err != nil {
		return fmt.Errorf("tell the bridge that %s is behind link %s: %w", mac, host.Attrs().Name, err)
	}
	return nil
}

// Furnish gives the container's end its addresses and routes, and returns once
// packets pass.
func (l *Links) Furnish(namespace *os.File, p Pair) error {
	inside, err := openAt(namespace)
	if err != nil {
		return err
	}
	defer inside.Close()
	if err := inside.furnish(p); err != nil {
		return fmt.Errorf("in the container's network namespace: %w", err)
	}
	return errors.Join(l.await(p.Host), l.await(p.Bridge))
}

// await waits until the bridge takes frames from its port. A kernel worker
// notices only some time later that both ends are up; until then the
// container's first packets would be lost. operstates.rst
func (l *Links) await(name string) error {
	for pause := 50 * time.Microsecond; pause < time.Second; pause *= 2 {
		link, err := l.handle.LinkByName(name)
		if err != nil {
			return fmt.Errorf("wait for link %s: %w", name, err)
		}
		if link.Attrs().OperState == netlink.OperUp {
			return nil
		}
		time.Sleep(pause)
	}
	return fmt.Errorf("link %s is up and carries nothing", name)
}

func (l *Links) furnish(p Pair) error {
	link, err := l.handle.LinkByName(p.Container)
	if err != nil {
		return fmt.Errorf("find link %s: %w", p.Container, err)
	}
	for _, a := range p.Addresses {
		if err := l.addAddress(link, a); err != nil {
			return err
		}
	}
	for _, gateway := range p.Gateways {
		every := &net.IPNet{IP: make(net.IP, gateway.BitLen()/8), Mask: net.CIDRMask(0, gateway.BitLen())}
		route := &netlink.Route{LinkIndex: link.Attrs().Index, Gw: gateway.AsSlice(), Dst: every}
		if err := l.handle.RouteAdd(route); err != nil {
			return fmt.Errorf("make %s the default route: %w", gateway, err)
		}
	}
	return nil
}
