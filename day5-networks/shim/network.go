package shim

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"

	"example.com/go-docker/day5-networks/container"
	"example.com/go-docker/day5-networks/etc"
	"example.com/go-docker/day5-networks/network"
	"example.com/go-docker/day5-networks/ports"
	"example.com/go-docker/day5-networks/state"
	"example.com/go-docker/day5-networks/wire"
)

// openNetwork reads how the container is to be connected, and holds the ports that
// it publishes, for all of its life: whatever else may go wrong, this is
// known before anything is made.
func (s *shim) openNetwork() error {
	var err error
	if s.networks, err = network.Open(s.store()); err != nil {
		return err
	}
	if s.network, err = state.ReadNetwork(s.dir); err != nil {
		return err
	}
	ipv6 := false
	for _, a := range s.network.Attachments {
		c, err := s.networks.Find(a.Network)
		if err != nil {
			return err
		}
		ipv6 = ipv6 || c.IPv6
	}
	s.ports, s.held, err = ports.Hold(ports.Families(s.network.Ports, ipv6))
	return err
}

// store is the store's directory, which has the container's in "containers".
func (s *shim) store() string { return filepath.Dir(filepath.Dir(s.dir)) }

// owner says who is connected. A container may have been renamed since it was
// started last.
func (s *shim) owner() network.Owner {
	var description struct {
		Name string `json:"name"`
	}
	if text, err := os.ReadFile(filepath.Join(s.dir, "container.json")); err == nil {
		_ = json.Unmarshal(text, &description) // without a name it is known by its id
	}
	return network.Owner{ID: s.config.Container.ID, Name: description.Name, Lock: filepath.Join(s.dir, "lock")}
}

// peerNetns asks the shim of the container whose network is shared for its
// network namespace: it alone knows that its container runs just now.
func (s *shim) peerNetns() (*os.File, error) {
	id := s.network.Peer()
	if id == "" {
		return nil, nil
	}
	dir := filepath.Join(s.store(), "containers", id)
	conn, err := wire.Dial(filepath.Join(dir, state.SocketFile))
	if err != nil {
		return nil, fmt.Errorf("join the network of container %s: %w", id, errNotRunning)
	}
	defer conn.Close()
	if err := conn.SendJSON(wire.Ask, wire.Request{Do: wire.DoNetns}); err != nil {
		return nil, fmt.Errorf("join the network of container %s: %w", id, err)
	}
	_, text, files, err := conn.ReceiveFiles()
	if err == nil && len(files) == 1 {
		return files[0], nil
	}
	var reply wire.Reply
	if err == nil {
		err = json.Unmarshal(text, &reply)
	}
	if err == nil {
		err = errors.New(reply.Error)
	}
	return nil, fmt.Errorf("join the network of container %s: %w", id, err)
}

// connect connects the container, whose init waits, and writes the files from
// which it knows names.
func (s *shim) connect(process *container.Process) error {
	if s.network.Peer() != "" {
		return nil // the other's files, too
	}
	s.endpoints = nil
	if len(s.network.Attachments) > 0 {
		netns, err := process.Netns()
		if err != nil {
			return err
		}
		defer netns.Close()
		if s.endpoints, err = s.networks.Connect(netns, s.owner(), s.network.Attachments, s.ports); err != nil {
			return err
		}
	}
	return s.writeEtc()
}

// disconnect gives back what the container had on its networks.
func (s *shim) disconnect() error {
	if len(s.endpoints) == 0 {
		return nil
	}
	s.endpoints = nil
	return s.networks.Disconnect(s.owner())
}

// writeEtc writes /etc/hosts, hostname and resolv.conf. They are mounted in the
// container, one by one, so each has to stay the file that it is.
func (s *shim) writeEtc() error {
	var addresses, resolvers []netip.Addr
	for _, e := range s.endpoints {
		for _, p := range e.Addresses {
			addresses = append(addresses, p.Addr())
		}
		if e.DNS.IsValid() {
			resolvers = append(resolvers, e.DNS)
		}
	}
	hostname := s.config.Container.Hostname
	called := []string{hostname}
	if name := s.owner().Name; name != "" && name != hostname {
		called = append(called, name)
	}
	hosts := etc.Hosts(addresses, called, s.network.Hosts)
	if s.network.Mode == state.HostMode {
		own, err := os.ReadFile("/etc/hosts")
		if err == nil {
			hosts = append(own, s.network.Hosts...)
		}
	}
	resolv, err := os.ReadFile("/etc/resolv.conf")
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("read the host's resolv.conf: %w", err)
	}
	for name, text := range map[string][]byte{
		"hosts": hosts, "hostname": []byte(hostname + "\n"),
		"resolv.conf": etc.ResolvConf(resolvers, resolv, s.network.DNS, s.network.Search, s.network.Options),
	} {
		if err := os.WriteFile(filepath.Join(s.dir, name), text, 0o644); err != nil {
			return fmt.Errorf("write the container's /etc/%s: %w", name, err)
		}
	}
	return nil
}

// changeNetwork connects the running container to one more network, or takes it
// off one, now and at its next starts.
func (s *shim) changeNetwork(ask wire.Request) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process == nil {
		return errNotRunning
	}
	var a network.Attachment
	if err := json.Unmarshal(ask.Command, &a); err != nil {
		return fmt.Errorf("not a request to change networks: %w", err)
	}
	if ask.Do == wire.DoConnect {
		return s.plugIn(a)
	}
	return s.unplug(a)
}

func (s *shim) plugIn(a network.Attachment) error {
	netns, err := s.process.Netns()
	if err != nil {
		return err
	}
	defer netns.Close()
	var published []ports.Port
	if !slices.ContainsFunc(s.endpoints, func(e network.Endpoint) bool { return len(e.Ports) > 0 }) {
		published = s.ports // whoever had them has gone
	}
	more, err := s.networks.Connect(netns, s.owner(), []network.Attachment{a}, published)
	if err != nil {
		return err
	}
	s.endpoints = append(s.endpoints, more...)
	s.network.Attachments = append(s.network.Attachments, a)
	return errors.Join(state.WriteNetwork(s.dir, s.network), s.writeEtc())
}

func (s *shim) unplug(a network.Attachment) error {
	c, err := s.networks.Find(a.Network)
	if err != nil {
		return err
	}
	if err := s.networks.Disconnect(s.owner(), c.ID); err != nil {
		return err
	}
	s.endpoints = slices.DeleteFunc(s.endpoints, func(e network.Endpoint) bool { return e.Network == c.ID })
	s.network.Attachments = slices.DeleteFunc(s.network.Attachments, func(b network.Attachment) bool { return b.Network == a.Network })
	return errors.Join(state.WriteNetwork(s.dir, s.network), s.writeEtc())
}
