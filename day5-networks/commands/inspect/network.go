package inspect

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strconv"

	"example.com/go-docker/day5-networks/commands/endpoints"
	"example.com/go-docker/day5-networks/lifecycle"
	"example.com/go-docker/day5-networks/network"
	"example.com/go-docker/day5-networks/ports"
	"example.com/go-docker/day5-networks/state"
	"example.com/go-docker/day5-networks/store"
)

// inspectedSettings has the names of docker inspect. The first three fields are
// those of the first network.
type inspectedSettings struct {
	SandboxKey string // the network namespace; "" unless the container is running
	IPAddress  string
	Gateway    string
	MacAddress string
	Ports      map[string][]portBinding // by "80/tcp"; null: exposed but not published
	Networks   map[string]inspectedEndpoint
}

type portBinding struct {
	HostIP   string `json:"HostIp"`
	HostPort string
}

type inspectedEndpoint struct {
	Aliases             []string
	MacAddress          string
	NetworkID           string
	EndpointID          string
	Gateway             string
	IPAddress           string
	IPPrefixLen         int
	IPv6Gateway         string
	GlobalIPv6Address   string
	GlobalIPv6PrefixLen int
	DNSNames            []string
}

func inspectSettings(s *store.Store, c *lifecycle.Container, connected *state.Network) (inspectedSettings, error) {
	i := inspectedSettings{Ports: map[string][]portBinding{}, Networks: map[string]inspectedEndpoint{}}
	n, err := network.Open(s.Root)
	if err != nil {
		return i, err
	}
	all, err := endpoints.ByContainer(s)
	if err != nil {
		return i, err
	}
	configs, err := n.List()
	if err != nil {
		return i, err
	}
	for _, a := range connected.Attachments {
		i.Networks[a.Network] = inspectedEndpoint{Aliases: a.Aliases}
	}
	if connected.Mode != "" && connected.Peer() == "" {
		i.Networks[connected.Mode] = inspectedEndpoint{}
	}
	if !c.State.Live() {
		return i, nil
	}
	i.SandboxKey = fmt.Sprintf("/proc/%d/ns/net", c.State.PID)
	for _, e := range connected.Exposed {
		i.Ports[e.Private()] = nil
	}
	for at, e := range all[c.ID] {
		own := slices.IndexFunc(configs, func(config network.Config) bool { return config.ID == e.Network })
		if own < 0 {
			continue // it has just gone
		}
		config := &configs[own]
		point := endpointOf(e, config)
		i.Networks[config.Name] = point
		if at == 0 {
			i.IPAddress, i.Gateway, i.MacAddress = point.IPAddress, point.Gateway, point.MacAddress
		}
		for _, p := range e.Ports {
			i.Ports[p.Private()] = append(i.Ports[p.Private()], bindingOf(p))
		}
	}
	return i, nil
}

func endpointOf(e network.Endpoint, c *network.Config) inspectedEndpoint {
	i := inspectedEndpoint{
		Aliases: e.Aliases, MacAddress: e.MAC, NetworkID: e.Network, EndpointID: e.HostInterface,
		DNSNames: append([]string{cmp.Or(e.Name, e.ID), e.ID}, e.Aliases...),
	}
	for k, p := range e.Addresses {
		gateway := ""
		if c.Damaged == nil {
			gateway = c.Gateways[k].String()
		}
		if p.Addr().Is4() {
			i.IPAddress, i.IPPrefixLen, i.Gateway = p.Addr().String(), p.Bits(), gateway
		} else {
			i.GlobalIPv6Address, i.GlobalIPv6PrefixLen, i.IPv6Gateway = p.Addr().String(), p.Bits(), gateway
		}
	}
	return i
}

func bindingOf(p ports.Port) portBinding {
	b := portBinding{HostPort: strconv.Itoa(int(p.HostPort))}
	if p.HostPort == 0 {
		b.HostPort = ""
	}
	if p.HostIP.IsValid() {
		b.HostIP = p.HostIP.String()
	}
	return b
}

// connectedBy adds what the user asked for.
func (h *inspectedHostConfig) connectedBy(n *state.Network) {
	h.NetworkMode = n.Mode
	if n.Mode == "" {
		h.NetworkMode = state.NoneMode
		if len(n.Attachments) > 0 {
			h.NetworkMode = n.Attachments[0].Network
		}
	}
	h.PortBindings = map[string][]portBinding{}
	for _, p := range n.Ports {
		h.PortBindings[p.Private()] = append(h.PortBindings[p.Private()], bindingOf(p))
	}
	h.DNS = texts(n.DNS)
}

func texts(addresses []netip.Addr) []string {
	list := []string{}
	for _, a := range addresses {
		list = append(list, a.String())
	}
	return list
}
