package streams

import (
	"slices"
	"sync"

	"example.com/go-docker/day5-networks/wire"
)

// Clients are the clients attached to a container.
type Clients struct {
	mu  sync.Mutex
	all []*wire.Conn
}

// Add has the client get what the container writes from now on.
func (c *Clients) Add(client *wire.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all = append(c.all, client)
}

// Remove ends that.
func (c *Clients) Remove(client *wire.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all = slices.DeleteFunc(c.all, func(other *wire.Conn) bool { return other == client })
}

func (c *Clients) send(kind wire.Kind, content []byte) {
	c.mu.Lock()
	all := slices.Clone(c.all)
	c.mu.Unlock()
	for _, client := range all {
		if client.Send(kind, content) != nil {
			c.Remove(client) // the client has gone; its own goroutine closes it
		}
	}
}

// Drop disconnects all clients.
func (c *Clients) Drop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, client := range c.all {
		_ = client.Close() // this ends a Send that is waiting
	}
	c.all = nil
}
