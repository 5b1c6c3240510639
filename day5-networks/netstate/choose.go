package netstate

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"example.com/go-docker/day5-networks/address"
	"example.com/go-docker/day5-networks/ports"
)

// An Attachment is what a container asks of one network.
type Attachment struct {
	Network string     // name, or a prefix of the ID
	IP, IP6 netip.Addr // zero: the next free one
	MAC     string     // empty: one is made
	Aliases []string
}

// nextInterface is the first of eth0, eth1, ... that the container does not have.
// Its own records are loaded.
func (s *Session) nextInterface(o Owner) string {
	for i := 0; ; i++ {
		name := fmt.Sprintf("eth%d", i)
		if !slices.ContainsFunc(s.Records, func(r *Record) bool { return r.ID == o.ID && r.Interface == name }) {
			return name
		}
	}
}

// Choose gives an endpoint of that network what is wished for, and what is free.
func (s *Session) Choose(r *Record, c *Config, wish Attachment) error {
	// A link's name has at most 15 bytes, and is for this moment.
	var random [4]byte
	_, _ = rand.Read(random[:]) // never fails: it ends the program
	r.HostInterface = s.LinkPrefix + hex.EncodeToString(random[:])
	r.Interface = s.nextInterface(r.Owner)
	used := make(map[netip.Addr]bool, len(s.Records))
	for _, other := range s.Records {
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
	return s.chooseMAC(r, wish.MAC)
}

// chooseMAC takes the one that is wished for, or makes one of the address.
func (s *Session) chooseMAC(r *Record, wish string) error {
	r.MAC = address.MAC(r.Addresses[0].Addr()).String()
	if wish == "" {
		return nil
	}
	mac, err := net.ParseMAC(wish)
	if err != nil || len(mac) != 6 || mac[0]&1 != 0 {
		return fmt.Errorf("MAC address %q: want six pairs of digits, such as 02:42:0a:09:00:02, of a single host", wish)
	}
	r.MAC = mac.String()
	if err := s.Load(); err != nil {
		return err
	}
	for _, other := range s.Records {
		if other.Network == r.Network && other.MAC == r.MAC {
			return fmt.Errorf("MAC address %s is in use by container %s", mac, other.Called())
		}
	}
	return nil
}

// CheckPorts says what cannot be published. That others have a port shows already
// when it is held, as package ports does; here is who it is.
func (s *Session) CheckPorts(p []ports.Port) error {
	for _, port := range p {
		if port.HostIP == netip.IPv6Loopback() {
			return fmt.Errorf("publish port %d at [::1]: IPv6 has no way from there into a container: use 127.0.0.1", port.HostPort)
		}
		for _, r := range s.Records {
			if !r.MayPublish(p) {
				continue
			}
			if err := r.Load(); err != nil {
				return err
			}
			for _, other := range r.Ports {
				if port.HostIP == other.HostIP && port.HostPort == other.HostPort && port.Protocol == other.Protocol {
					return fmt.Errorf("port %d/%s is published by container %s already", port.HostPort, port.Protocol, r.Called())
				}
			}
		}
	}
	return nil
}
