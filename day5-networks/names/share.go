package names

import (
	"net"
	"net/netip"
	"sync"
)

// What one client may have at once of what all clients share. Otherwise a
// client that takes everything would leave the others without names.
const (
	ownConnections = 32
	ownForwarded   = mostForwarded / 2
)

// mostConnections is the limit for all clients together. Each connection has a
// goroutine, buffers and a descriptor, for up to eight seconds after its last
// question.
const mostConnections = 1024

// shares count how much of something each client has.
type shares struct {
	all, own int // limits

	mu    sync.Mutex
	taken int
	by    map[netip.Addr]int
}

// take takes one for the client, unless that exceeds a limit.
func (s *shares) take(client netip.Addr) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.taken >= s.all || s.by[client] >= s.own {
		return false
	}
	if s.by == nil {
		s.by = map[netip.Addr]int{}
	}
	s.taken++
	s.by[client]++
	return true
}

// give gives one back.
func (s *shares) give(client netip.Addr) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taken--
	if s.by[client]--; s.by[client] == 0 {
		delete(s.by, client)
	}
}

// A fair listener immediately closes connections beyond a client's share.
type fair struct {
	net.Listener
	shares *shares
}

func (f fair) Accept() (net.Conn, error) {
	for {
		c, err := f.Listener.Accept()
		if err != nil {
			return nil, err
		}
		client := addressOf(c.RemoteAddr())
		if f.shares.take(client) {
			return &shared{Conn: c, give: sync.OnceFunc(func() { f.shares.give(client) })}, nil
		}
		_ = c.Close() // not reported: the client sees it
	}
}

// shared is a connection that counts until it is closed.
type shared struct {
	net.Conn
	give func()
}

func (s *shared) Close() error {
	s.give()
	return s.Conn.Close()
}
