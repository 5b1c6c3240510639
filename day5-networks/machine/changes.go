// Package machine makes our changes to a machine besides our own links and nft
// tables: it turns on forwarding, makes other people's firewalls let our
// packets pass, and makes the kernel forget old UDP flows. A change that lasts
// is logged, recorded before it is made, and undone later.
//
// It grew from rung 07-nat, which only turns forwarding on, and adds the rest.
package machine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/sirupsen/logrus"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Changes are our changes on this machine besides our own links and tables.
// Each is recorded, by Save, before it is made.
type Changes struct {
	Values  []Value
	Accepts []Accept
	Boot    string // the machine's boot in which they were made

	Save func() error `json:"-"`
}

// A Value is the value of a file below /proc/sys.
type Value struct {
	Path, Before, Ours string
}

const (
	forward4 = "/proc/sys/net/ipv4/ip_forward"
	forward6 = "/proc/sys/net/ipv6/conf/all/forwarding"
)

// Forward makes this machine forward packets, optionally of IPv6, too.
// ip-sysctl.rst
func (c *Changes) Forward(ipv6 bool) error {
	if ipv6 {
		if err := c.keepRouters(); err != nil {
			return err
		}
		if err := c.set(forward6, "1"); err != nil {
			return err
		}
	}
	return c.set(forward4, "1")
}

// Empty reports whether nothing has been changed.
func (c *Changes) Empty() bool { return len(c.Values) == 0 && len(c.Accepts) == 0 }

// Alone returns the versions of IP for which only we want the machine to
// forward.
func (c *Changes) Alone() map[int]bool {
	alone := map[int]bool{}
	for _, v := range c.Values {
		alone[4] = alone[4] || v.Path == forward4
		alone[6] = alone[6] || v.Path == forward6
	}
	return alone
}

// keepRouters lets links keep the routes learned from an IPv6 router, because a
// machine that forwards accepts none unless accept_ra is 2. ip-sysctl.rst
func (c *Changes) keepRouters() error {
	if now, err := read(forward6); err != nil || now != "0" {
		return err
	}
	learned := &netlink.Route{Protocol: unix.RTPROT_RA}
	routes, err := netlink.RouteListFiltered(unix.AF_INET6, learned, netlink.RT_FILTER_PROTOCOL)
	if err != nil {
		return fmt.Errorf("look for routes that IPv6 routers have announced: %w", err)
	}
	for _, r := range routes {
		link, err := netlink.LinkByIndex(r.LinkIndex)
		if err != nil {
			continue // the link has gone
		}
		path := "/proc/sys/net/ipv6/conf/" + link.Attrs().Name + "/accept_ra"
		if now, err := read(path); err != nil || now != "1" {
			continue
		}
		if err := c.set(path, "2"); err != nil {
			return err
		}
	}
	return nil
}

// set writes a value unless the file already has it.
func (c *Changes) set(path, value string) error {
	now, err := read(path)
	if err != nil {
		return fmt.Errorf("let this machine forward packets: %w", err)
	}
	if now == value {
		return nil
	}
	c.Values = append(c.Values, Value{path, now, value})
	if err := c.Save(); err != nil {
		return err
	}
	if err := os.WriteFile(path, []byte(value+"\n"), 0); err != nil {
		return fmt.Errorf("let this machine forward packets: %w", err)
	}
	logrus.Infof("%s: %s instead of %s, until the last container has left its networks", sysctl(path), value, now)
	return nil
}

// Undo undoes the recorded changes in reverse order, except where somebody else
// has made another change since.
func (c *Changes) Undo() error {
	var errs error
	for len(c.Values) > 0 {
		v := c.Values[len(c.Values)-1]
		now, err := read(v.Path)
		switch {
		case errors.Is(err, fs.ErrNotExist): // the link has gone
		case err != nil:
			errs = errors.Join(errs, err)
		case now == v.Ours:
			if err := os.WriteFile(v.Path, []byte(v.Before+"\n"), 0); err != nil {
				errs = errors.Join(errs, fmt.Errorf("set %s back to %s: %w", sysctl(v.Path), v.Before, err))
			} else {
				logrus.Infof("%s: %s again", sysctl(v.Path), v.Before)
			}
		}
		c.Values = c.Values[:len(c.Values)-1]
	}
	return errs
}

func read(path string) (string, error) {
	text, err := os.ReadFile(path)
	return strings.TrimSpace(string(text)), err
}

// sysctl returns sysctl(8)'s name for a file.
func sysctl(path string) string {
	return strings.ReplaceAll(strings.TrimPrefix(path, "/proc/sys/"), "/", ".")
}
