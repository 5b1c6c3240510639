// Package connection is what a shim has to do with networks: it holds the ports
// that its container publishes, connects the container whenever it starts and
// while it runs, and writes the files from which the container knows names.
//
// It grew from the steps 08-publish and 09-names, plus: other containers'
// networks, changes while the container runs.
package connection

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"example.com/go-docker/day5-networks/inventory"
	"example.com/go-docker/day5-networks/network"
	"example.com/go-docker/day5-networks/ports"
	"example.com/go-docker/day5-networks/state"
	"example.com/go-docker/day5-networks/wire"
)

// A Connection is a container's, for as long as its shim lives. It is not for
// several callers at once.
type Connection struct {
	dir          string // the container's
	id, hostname string
	networks     *network.Networks
	config       *state.Network
	ports        []ports.Port // with the numbers that were chosen
	held         *ports.Held
	endpoints    []network.Endpoint
	left         func() error // returns when its links have gone
}

// Open reads how the container in dir is to be connected, and holds the ports
// that it publishes, for all of its life: whatever else may go wrong, this is
// known before anything is made.
func Open(dir string, id, hostname string) (*Connection, error) {
	c := &Connection{dir: dir, id: id, hostname: hostname}
	var err error
	if c.networks, err = network.Open(c.store()); err != nil {
		return nil, err
	}
	if c.config, err = state.ReadNetwork(dir); err != nil {
		return nil, err
	}
	ipv6 := false
	for _, a := range c.config.Attachments {
		n, err := c.networks.Find(a.Network)
		if err != nil {
			return nil, err
		}
		ipv6 = ipv6 || n.IPv6
	}
	c.ports, c.held, err = ports.Hold(ports.Families(c.config.Ports, ipv6))
	return c, err
}

// store is the store's directory, which has the container's in "containers".
func (c *Connection) store() string { return filepath.Dir(filepath.Dir(c.dir)) }

// owner says who is connected. A container may have been renamed since it was
// started last.
func (c *Connection) owner() network.Owner {
	var description struct {
		Name string `json:"name"`
	}
	if text, err := os.ReadFile(filepath.Join(c.dir, inventory.Description)); err == nil {
		_ = json.Unmarshal(text, &description) // without a name it is known by its id
	}
	return network.Owner{ID: c.id, Name: description.Name, Lock: filepath.Join(c.dir, inventory.Lock)}
}

var errNotRunning = errors.New("the container is not running")

// PeerNetns asks the shim of the container whose network is shared, if one is,
// for its network namespace: it alone knows that its container runs just now. The
// caller closes it.
func (c *Connection) PeerNetns() (*os.File, error) {
	id := c.config.Peer()
	if id == "" {
		return nil, nil
	}
	dir := filepath.Join(c.store(), "containers", id)
	conn, err := wire.Dial(filepath.Join(dir, state.SocketFile))
	if err != nil {
		return nil, fmt.Errorf("join the network of container %s: %w", id, errNotRunning)
	}
	defer conn.Close()
	reply, err := conn.Ask(wire.Request{Do: wire.DoNetns})
	if err == nil && reply.File == nil {
		err = errors.New(reply.Error)
	}
	if err != nil {
		return nil, fmt.Errorf("join the network of container %s: %w", id, err)
	}
	return reply.File, nil
}

// An Init is a container's first process, as container.Create has made it.
type Init interface {
	Netns() (*os.File, error)
	Prepare() error // it makes the container's root directory
}

// Start connects the container, while its init makes its root directory, and
// writes the files from which it knows names.
func (c *Connection) Start(process Init) error {
	netns, err := process.Netns()
	if err != nil {
		return err
	}
	defer netns.Close()
	if err := process.Prepare(); err != nil {
		return err
	}
	if c.config.Peer() != "" {
		return nil // the other's files, too
	}
	c.endpoints = nil
	if len(c.config.Attachments) > 0 {
		if c.endpoints, err = c.networks.Connect(netns, c.owner(), c.config.Attachments, c.ports); err != nil {
			return err
		}
	}
	return c.writeEtc()
}

// End gives back what the container had on its networks. The rest of it goes on:
// see Close.
func (c *Connection) End() (err error) {
	if len(c.endpoints) == 0 {
		return nil
	}
	c.endpoints = nil
	c.left, err = c.networks.Leave(c.owner())
	return err
}

// LetGo lets others have the container's ports: it is not started again.
func (c *Connection) LetGo() { _ = c.held.Close() }

// Close returns when nothing of what the container had is left.
func (c *Connection) Close() error {
	if c.left == nil {
		return nil
	}
	return c.left()
}

// Change connects the container, which runs, to one more network, or takes it
// off one, now and at its next starts; open opens its network namespace.
func (c *Connection) Change(ask wire.Request, open func() (*os.File, error)) error {
	var a network.Attachment
	if err := json.Unmarshal(ask.Command, &a); err != nil {
		return fmt.Errorf("not a request to change networks: %w", err)
	}
	if ask.Do == wire.DoLeave {
		return c.drop(a.Network)
	}
	netns, err := open()
	if err != nil {
		return err
	}
	defer netns.Close()
	return c.add(netns, a)
}

func (c *Connection) add(netns *os.File, a network.Attachment) error {
	var published []ports.Port
	if !slices.ContainsFunc(c.endpoints, func(e network.Endpoint) bool { return len(e.Ports) > 0 }) {
		published = c.ports // whoever had them has gone
	}
	more, err := c.networks.Connect(netns, c.owner(), []network.Attachment{a}, published)
	if err != nil {
		return err
	}
	endpoints, attachments := c.endpoints, c.config.Attachments
	c.endpoints, c.config.Attachments = slices.Concat(endpoints, more), append(slices.Clip(attachments), a)
	if err = c.writeEtc(); err == nil {
		err = state.WriteNetwork(c.dir, c.config)
	}
	if err != nil { // the disk may be full
		c.endpoints, c.config.Attachments = endpoints, attachments
		err = errors.Join(err, c.networks.Disconnect(c.owner(), more[0].Network))
	}
	return err
}

func (c *Connection) drop(name string) error {
	n, err := c.networks.Find(name)
	if err != nil {
		return err
	}
	if err := c.networks.Disconnect(c.owner(), n.ID); err != nil {
		return err
	}
	c.endpoints = slices.DeleteFunc(c.endpoints, func(e network.Endpoint) bool { return e.Network == n.ID })
	c.config.Attachments = slices.DeleteFunc(c.config.Attachments, func(a network.Attachment) bool { return a.Network == name })
	return errors.Join(state.WriteNetwork(c.dir, c.config), c.writeEtc())
}
