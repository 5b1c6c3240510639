package lifecycle

import (
	"encoding/json"
	"errors"
	"path/filepath"
	"slices"

	"example.com/go-docker/day5-networks/inventory"
	"example.com/go-docker/day5-networks/network"
	"example.com/go-docker/day5-networks/state"
	"example.com/go-docker/day5-networks/wire"
)

// leaveNetworks removes what a dead shim has left of the container's networks.
// The caller has the container's lock, so that nobody else can tell that it is
// dead.
func (c *Container) leaveNetworks() error {
	root := filepath.Dir(filepath.Dir(c.Dir))
	left, err := filepath.Glob(filepath.Join(root, "networks", "*", "endpoints", c.ID+",*"))
	if err != nil || len(left) == 0 {
		return err
	}
	n, err := network.Open(root)
	if err != nil {
		return err
	}
	return n.Disconnect(network.Owner{ID: c.ID, Name: c.Name, Lock: filepath.Join(c.Dir, inventory.Lock)})
}

// Connect connects the container to one more network: now, if it runs, and
// whenever it is started.
func (c *Container) Connect(a network.Attachment) error {
	return c.changeNetwork(wire.DoConnect, a, func(n *state.Network) error {
		if slices.ContainsFunc(n.Attachments, func(b network.Attachment) bool { return b.Network == a.Network }) {
			return errors.New("container " + c.ID + " is on network " + a.Network + " already")
		}
		n.Attachments = append(n.Attachments, a)
		return nil
	})
}

// Disconnect takes the container off a network.
func (c *Container) Disconnect(name string) error {
	return c.changeNetwork(wire.DoLeave, network.Attachment{Network: name}, func(n *state.Network) error {
		before := len(n.Attachments)
		n.Attachments = slices.DeleteFunc(n.Attachments, func(b network.Attachment) bool { return b.Network == name })
		if len(n.Attachments) == before {
			return errors.New("container " + c.ID + " is not on network " + name)
		}
		return nil
	})
}

// changeNetwork has the shim change a network, or without one, does it itself to
// the configuration.
func (c *Container) changeNetwork(do string, a network.Attachment, change func(*state.Network) error) error {
	text, err := json.Marshal(a)
	if err != nil {
		return err
	}
	locked, err := c.askOrLock(func() error {
		_, err := c.ask(wire.Request{Do: do, Command: text})
		return err
	})
	if err != nil || locked == nil {
		return err
	}
	n, err := state.ReadNetwork(c.Dir)
	if err == nil {
		err = change(n)
	}
	if err == nil {
		err = state.WriteNetwork(c.Dir, n)
	}
	return errors.Join(err, locked.Close())
}
