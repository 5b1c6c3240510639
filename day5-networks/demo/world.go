// Package demo is what the chapter shows without arguments: a host and a LAN in
// network namespaces of their own, and the paths that packets take between them
// and containers. Nothing of it touches the machine's own network.
package demo

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"example.com/go-docker/day5-networks/namespace"
)

// Addresses of the host and of another machine on its LAN, from a block that is
// for examples. RFC 5737
var (
	HostIP = netip.MustParseAddr("192.0.2.1")
	LANIP  = netip.MustParseAddr("192.0.2.2")
)

// A World is this process's network namespace, which plays the host, and another
// one, the LAN.
type World struct{ lan *os.File }

// NewWorld furnishes the network namespace of this process, which must be a new
// one, and makes the other.
func NewWorld() (_ *World, err error) {
	w := new(World)
	if err := namespace.LoopbackUp(); err != nil {
		return nil, err
	}
	err = apart(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("make a network namespace for the LAN: %w", err)
		}
		w.lan, err = os.Open("/proc/thread-self/ns/net")
		return errors.Join(err, namespace.LoopbackUp())
	})
	if err != nil {
		return nil, err
	}
	cable := &netlink.Veth{LinkAttrs: netlink.NewLinkAttrs(), PeerName: "eth0", PeerNamespace: netlink.NsFd(w.lan.Fd())}
	cable.Name = "eth0"
	if err := netlink.LinkAdd(cable); err != nil {
		return nil, fmt.Errorf("join the host and the LAN: %w", err)
	}
	if err := furnish(HostIP, LANIP, nil); err != nil {
		return nil, fmt.Errorf("furnish the host: %w", err)
	}
	// The LAN's machine sends what is for a container straight to the host, as
	// anybody on a LAN can.
	containers := &net.IPNet{IP: net.IPv4(172, 16, 0, 0).To4(), Mask: net.CIDRMask(12, 32)}
	if err := w.InLAN(func() error { return furnish(LANIP, HostIP, containers) }); err != nil {
		return nil, fmt.Errorf("furnish the LAN: %w", err)
	}
	return w, nil
}

// furnish gives eth0 an address, and a route; to everywhere if to is nil.
func furnish(own, gateway netip.Addr, to *net.IPNet) error {
	eth0, err := netlink.LinkByName("eth0")
	if err != nil {
		return err
	}
	address := &netlink.Addr{IPNet: &net.IPNet{IP: own.AsSlice(), Mask: net.CIDRMask(24, 32)}}
	if err := netlink.AddrAdd(eth0, address); err != nil {
		return err
	}
	if err := netlink.LinkSetUp(eth0); err != nil {
		return err
	}
	return netlink.RouteAdd(&netlink.Route{LinkIndex: eth0.Attrs().Index, Dst: to, Gw: gateway.AsSlice()})
}

// InLAN calls f on the LAN's machine.
func (w *World) InLAN(f func() error) error {
	return apart(func() error { return namespace.InNet(w.lan, f) })
}

// apart calls f on a thread that nobody uses afterwards: it is in another
// namespace than the rest of the process. setns(2)
func apart(f func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked, so the thread ends
		done <- f()
	}()
	return <-done
}

// Close lets go of the LAN. What is in the namespaces goes with them.
func (w *World) Close() error { return w.lan.Close() }
