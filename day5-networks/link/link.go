// Package link makes and removes bridges, and pairs of links between a bridge
// and a network namespace. It uses netlink, rtnetlink(7), in the network
// namespace of the calling thread.
//
// It grew from rungs 05-veth and 06-bridge, and adds IPv6, the uplink's MTU,
// addresses that do not change, and calls that are safe to repeat.
package link

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// Links is a netlink socket.
type Links struct {
	handle *netlink.Handle
}

// Open opens the socket, which stays in the network namespace of this moment.
func Open() (*Links, error) {
	handle, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("open a netlink socket: %w", err)
	}
	return &Links{handle}, nil
}

// openAt opens a socket in another network namespace.
func openAt(namespace *os.File) (*Links, error) {
	handle, err := netlink.NewHandleAt(netns.NsHandle(namespace.Fd()), unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("open a netlink socket in the container's network namespace: %w", err)
	}
	return &Links{handle}, nil
}

// Close closes the socket.
func (l *Links) Close() { l.handle.Close() }

// Exists reports whether there is a link with this name.
func (l *Links) Exists(name string) (bool, error) {
	_, err := l.handle.LinkByName(name)
	if errors.As(err, &netlink.LinkNotFoundError{}) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look for link %s: %w", name, err)
	}
	return true, nil
}

// Any reports whether there is a link whose name begins so.
func Any(prefix string) (bool, error) {
	all, err := net.Interfaces()
	if err != nil {
		return false, fmt.Errorf("list the links: %w", err)
	}
	return slices.ContainsFunc(all, func(l net.Interface) bool { return strings.HasPrefix(l.Name, prefix) }), nil
}

// Remove removes links; a missing one is not an error. Removing one end of a
// pair removes both. veth(4)
//
// It returns once the links can no longer be found, after a few milliseconds.
// The kernel answers only when nothing refers to them any more, after RCU grace
// periods of 15 to 30 ms. Nobody needs to wait for that, and it goes on even if
// this process ends. netdev_run_todo in net/core/dev.c
func (l *Links) Remove(names ...string) error {
	errs := make([]error, len(names))
	var all sync.WaitGroup
	for i, name := range names {
		all.Go(func() { errs[i] = l.remove(name) })
	}
	all.Wait()
	return errors.Join(errs...)
}

func (l *Links) remove(name string) error {
	link, err := l.handle.LinkByName(name)
	if errors.As(err, &netlink.LinkNotFoundError{}) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look for link %s: %w", name, err)
	}
	other, err := Open()
	if err != nil {
		return err
	}
	answer := make(chan error, 1)
	go func() {
		defer other.Close()
		answer <- other.handle.LinkDel(link)
	}()
	for pause := 100 * time.Microsecond; ; pause = min(2*pause, time.Millisecond) {
		select {
		case err := <-answer:
			// A namespace that ends takes its end of the pair with it, at any moment.
			if err != nil && !errors.Is(err, syscall.ENODEV) {
				return fmt.Errorf("remove link %s: %w", name, err)
			}
			return nil
		case <-time.After(pause):
		}
		if there, err := l.Exists(name); err == nil && !there {
			// Its routes go after its name, while the kernel holds its lock on
			// links. Asking once more waits for that lock.
			if err := l.handle.LinkDel(link); err != nil && !errors.Is(err, syscall.ENODEV) {
				return fmt.Errorf("remove link %s: %w", name, err)
			}
			return nil
		}
	}
}

// addAddress gives a link an address, which may be there already. The address
// is used at once, without asking whether another host has it (NODAD): we keep
// track of addresses, and on a bridge port in hairpin mode the question comes
// back as if another host had asked. RFC 4862, section 5.4
func (l *Links) addAddress(link netlink.Link, p netip.Prefix) error {
	a := &netlink.Addr{IPNet: ipNet(p)}
	if p.Addr().Is6() {
		a.Flags = unix.IFA_F_NODAD
	}
	if err := l.handle.AddrAdd(link, a); err != nil && !errors.Is(err, syscall.EEXIST) {
		if p.Addr().Is6() && (errors.Is(err, syscall.EACCES) || errors.Is(err, syscall.EOPNOTSUPP)) {
			return fmt.Errorf("give link %s the address %s: %w: IPv6 is disabled there: see sysctl net.ipv6.conf.all.disable_ipv6", link.Attrs().Name, p, err)
		}
		return fmt.Errorf("give link %s the address %s: %w", link.Attrs().Name, p, err)
	}
	return nil
}

// noLinkLocal keeps the kernel from adding an IPv6 address of its own when the
// link goes up: the firewall does not guard an address that nobody asked for.
func (l *Links) noLinkLocal(link netlink.Link) error {
	const none = 1 // IN6_ADDR_GEN_MODE_NONE, linux/if_link.h
	err := l.handle.LinkSetIP6AddrGenMode(link, none)
	// A kernel without IPv6 adds none.
	if err != nil && !errors.Is(err, syscall.EAFNOSUPPORT) && !errors.Is(err, syscall.EOPNOTSUPP) {
		return fmt.Errorf("keep link %s without IPv6: %w", link.Attrs().Name, err)
	}
	return nil
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}
