// Package machine is what we change on a machine besides our own links and nft
// tables: that it forwards packets, that other people's firewalls let ours pass,
// that old UDP flows are forgotten. It is told in a line of the log, recorded
// before it is done, and undone.
//
// The step 07-nat turns forwarding on and leaves it at that; this adds the rest.
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

// Changes are what was changed on this machine besides our own links and tables.
// Each is recorded, by Save, before it is made.
type Changes struct {
	Values  []Value
	Accepts []Accept
	Boot    string // the boot of the machine in which they were made

	Save func() error `json:"-"`
}

// A Value is that of a file below /proc/sys.
type Value struct {
	Path, Before, Ours string
}

const (
	forward4 = "/proc/sys/net/ipv4/ip_forward"
	forward6 = "/proc/sys/net/ipv6/conf/all/forwarding"
)

// Forward makes this machine forward packets, those of IPv6 too if that is
// wanted. ip-sysctl.rst
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

// Empty tells whether nothing is changed.
func (c *Changes) Empty() bool { return len(c.Values) == 0 && len(c.Accepts) == 0 }

// Alone tells for which versions of IP it is only for us that the machine
// forwards.
func (c *Changes) Alone() map[int]bool {
	alone := map[int]bool{}
	for _, v := range c.Values {
		alone[4] = alone[4] || v.Path == forward4
		alone[6] = alone[6] || v.Path == forward6
	}
	return alone
}

// keepRouters lets links keep the routes that they have learned from an IPv6
// router: who forwards itself learns none, unless accept_ra is 2. ip-sysctl.rst
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
			continue // it has gone
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

// set writes a value, unless the file has it.
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

// Undo undoes what is recorded, in reverse, but for what somebody else has
// changed since.
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

// sysctl is the name that sysctl(8) has for a file.
func sysctl(path string) string {
	return strings.ReplaceAll(strings.TrimPrefix(path, "/proc/sys/"), "/", ".")
}
