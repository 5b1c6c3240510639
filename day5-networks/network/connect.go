package network

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"syscall"

	"github.com/sirupsen/logrus"

	"example.com/go-docker/day5-networks/address"
	"example.com/go-docker/day5-networks/firewall"
	"example.com/go-docker/day5-networks/link"
	"example.com/go-docker/day5-networks/ports"
)

// Connect connects a container, given its network namespace, to networks: as
// eth0, eth1 and so on. The first that is not internal gets the ports and, if
// the container has none, the default route. It does all of it or nothing.
//
// What it has to change on the machine it tells by logrus, a line each.
func (n *Networks) Connect(netns *os.File, o Owner, a []Attachment, p []ports.Port) ([]Endpoint, error) {
	s, err := n.begin()
	if err != nil {
		return nil, err
	}
	defer s.end()
	if err := s.open(); err != nil {
		return nil, err
	}
	made, err := s.plan(netns, o, a, p)
	if err == nil {
		err = s.establish(netns, made)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("connect container %s: %w", o.Name, err), s.release(made))
	}
	endpoints := make([]Endpoint, len(made))
	for i, r := range made {
		endpoints[i] = r.Endpoint
	}
	return endpoints, nil
}

// plan chooses what the container gets. The records are in the session, and not
// yet on the disk.
func (s *session) plan(netns *os.File, o Owner, a []Attachment, p []ports.Port) (made []*record, err error) {
	var stat syscall.Stat_t
	if err := syscall.Fstat(int(netns.Fd()), &stat); err != nil {
		return nil, fmt.Errorf("look at its network namespace: %w", err)
	}
	if err := s.forget(o, stat.Ino); err != nil {
		return nil, err
	}
	for _, port := range p {
		if port.HostIP == netip.IPv6Loopback() {
			return nil, fmt.Errorf("publish port %d at [::1]: IPv6 has no way from there into a container: use 127.0.0.1", port.HostPort)
		}
	}
	routed := slices.ContainsFunc(s.records, func(r *record) bool { return r.ID == o.ID && len(r.Gateways) > 0 })
	for _, wish := range a {
		c, err := s.find(wish.Network)
		if err != nil {
			return made, err
		}
		if slices.ContainsFunc(s.records, func(r *record) bool { return r.ID == o.ID && r.Network == c.ID }) {
			return made, fmt.Errorf("it is on network %s already", c.Name)
		}
		r := &record{Boot: s.boot, Netns: stat.Ino}
		r.Endpoint = Endpoint{Owner: o, Network: c.ID, Interface: s.nextInterface(o), Aliases: wish.Aliases, DNS: c.Gateways[0]}
		r.HostInterface = s.networks.hostInterface()
		if err := s.address(r, c, wish); err != nil {
			return made, fmt.Errorf("network %s: %w", c.Name, err)
		}
		if !c.Internal {
			r.Ports, p = p, nil
			if !routed {
				r.Gateways, routed = c.Gateways, true
			}
		}
		made, s.records = append(made, r), append(s.records, r)
	}
	if len(p) > 0 {
		return made, errors.New("a port can be published only on a network that is not internal")
	}
	return made, nil
}

// forget removes what an earlier life of the container has left: its lock is
// held again, and so it does not look dead.
func (s *session) forget(o Owner, netns uint64) error {
	var old []*record
	for _, r := range s.records {
		if r.ID != o.ID {
			continue
		}
		there, err := s.links.Exists(r.HostInterface)
		if err != nil {
			return err
		}
		if !there || r.pending || r.Netns != netns {
			old = append(old, r)
		}
	}
	if len(old) == 0 {
		return nil
	}
	return s.release(old)
}

// nextInterface is the first of eth0, eth1, ... that the container does not have.
func (s *session) nextInterface(o Owner) string {
	for i := 0; ; i++ {
		name := fmt.Sprintf("eth%d", i)
		if !slices.ContainsFunc(s.records, func(r *record) bool { return r.ID == o.ID && r.Interface == name }) {
			return name
		}
	}
}

// hostInterface makes up a name of 15 bytes, which is all that a link's may have.
func (n *Networks) hostInterface() string {
	var random [4]byte
	_, _ = rand.Read(random[:]) // never fails: it ends the program
	return n.prefix + hex.EncodeToString(random[:])
}

// address chooses the endpoint's addresses.
func (s *session) address(r *record, c *Config, wish Attachment) error {
	used := map[netip.Addr]bool{}
	for _, other := range s.records {
		for _, a := range other.Addresses {
			used[a.Addr()] = true
		}
	}
	for i, subnet := range c.Subnets {
		used[c.Gateways[i]] = true
		a := wish.IP
		if subnet.Addr().Is6() {
			a = wish.IP6
		}
		if !a.IsValid() {
			free, err := address.Next(subnet, c.Ranges[i], func(a netip.Addr) bool { return used[a] })
			if err != nil {
				return err
			}
			a = free
		} else if err := address.CheckHost(subnet, a); err != nil {
			return err
		} else if used[a] {
			return fmt.Errorf("address %s is in use", a)
		}
		r.Addresses = append(r.Addresses, netip.PrefixFrom(a, subnet.Bits()))
	}
	if wish.IP6.IsValid() && len(c.Subnets) < 2 {
		return fmt.Errorf("address %s: the network has no IPv6: make it with --ipv6", wish.IP6)
	}
	mac := link.MAC(r.Addresses[0].Addr())
	if wish.MAC != "" {
		var err error
		if mac, err = net.ParseMAC(wish.MAC); err != nil || len(mac) != 6 || mac[0]&1 != 0 {
			return fmt.Errorf("MAC address %q: want six pairs of digits, such as 02:42:0a:09:00:02, of a single host", wish.MAC)
		}
		for _, other := range s.records {
			if other.Network == c.ID && other.MAC == mac.String() {
				return fmt.Errorf("MAC address %s is in use by container %s", mac, other.Name)
			}
		}
	}
	r.MAC = mac.String()
	return nil
}

// establish makes what was planned: first the records, then rules, so that no
// packet passes without them, then links.
func (s *session) establish(netns *os.File, made []*record) error {
	for _, r := range made {
		if err := s.networks.write(r); err != nil {
			return err
		}
		fault("recorded")
	}
	ipv6 := slices.ContainsFunc(made, func(r *record) bool { return len(r.Addresses) > 1 })
	if err := s.changes.Forward(ipv6); err != nil {
		return err
	}
	fault("forwarding")
	if err := s.filter(); err != nil {
		return err
	}
	for _, r := range made {
		if err := s.plug(netns, r); err != nil {
			return err
		}
	}
	for _, r := range made {
		if err := s.networks.rename(r, false); err != nil {
			return err
		}
		// While the lock is held: so nobody starts a second one.
		if err := s.networks.startResolver(s.config(r.Network)); err != nil {
			return err
		}
	}
	fault("ready")
	forgetFlows(made)
	return nil
}

// forgetFlows lets the old flows to the published ports come to an end. The
// container need not wait: that takes as long as half of its start.
func forgetFlows(made []*record) {
	var forwards []firewall.Forward
	for _, r := range made {
		forwards = append(forwards, r.forwards()...)
	}
	go func() {
		if err := firewall.Forget(forwards); err != nil {
			logrus.Warn(err)
		}
	}()
}

// plug makes an endpoint's links.
func (s *session) plug(netns *os.File, r *record) error {
	c := s.config(r.Network)
	b := link.Bridge{Name: c.Bridge, MTU: c.MTU}
	for i, subnet := range c.Subnets {
		b.Addresses = append(b.Addresses, netip.PrefixFrom(c.Gateways[i], subnet.Bits()))
	}
	if err := s.links.Ensure(b); err != nil {
		return err
	}
	fault("bridge")
	err := s.links.Connect(netns, link.Pair{
		Bridge: c.Bridge, Host: r.HostInterface, Container: r.Interface,
		MAC: r.mac(), Addresses: r.Addresses, Gateways: r.Gateways,
	})
	fault("links")
	return err
}
