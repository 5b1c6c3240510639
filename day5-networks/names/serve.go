package names

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	"github.com/miekg/dns"
)

// A Server answers DNS questions.
type Server struct {
	// Lookup returns what a client may know now, or nil if it is not a client
	// of ours.
	Lookup func(client netip.Addr) *Table
	// Upstream returns the servers to ask for the rest, best first.
	Upstream func(client netip.Addr) []netip.AddrPort

	servers     []*dns.Server
	connections shares
	forwarded   shares // questions passed on to other servers
}

// mostForwarded is how many questions may be passed on at once: each needs a
// goroutine and a socket.
const mostForwarded = 256

// longestQuestion is the limit over UDP, in bytes.
const longestQuestion = 4096

// Use takes the sockets to serve: they are bound, and those of TCP listen. It
// closes the files.
func (s *Server) Use(sockets []*os.File) error {
	s.connections = shares{all: mostConnections, own: ownConnections}
	s.forwarded = shares{all: mostForwarded, own: ownForwarded}
	for _, file := range sockets {
		d := new(dns.Server)
		packets, err := net.FilePacketConn(file)
		if err == nil {
			d.PacketConn, d.UDPSize = packets, longestQuestion
		} else if listener, errTCP := net.FileListener(file); errTCP != nil {
			err = errTCP
		} else {
			d.Listener, err = fair{listener, &s.connections}, nil
		}
		if err = errors.Join(err, file.Close()); err != nil {
			s.close()
			return fmt.Errorf("serve names: %w", err)
		}
		s.servers = append(s.servers, s.server(d))
	}
	return nil
}

func (s *Server) server(d *dns.Server) *dns.Server {
	d.Handler = dns.HandlerFunc(s.handle)
	d.ReadTimeout, d.WriteTimeout = 5*time.Second, 5*time.Second
	d.MaxTCPQueries = 1000
	return d
}

func (s *Server) close() {
	for _, d := range s.servers {
		if d.PacketConn != nil {
			_ = d.PacketConn.Close()
		}
		if d.Listener != nil {
			_ = d.Listener.Close()
		}
	}
	s.servers = nil
}

// Serve answers questions until ctx ends, and then returns nil.
func (s *Server) Serve(ctx context.Context) error {
	ended := make(chan error, len(s.servers))
	for _, d := range s.servers {
		go func() { ended <- d.ActivateAndServe() }()
	}
	defer s.close()
	select {
	case <-ctx.Done():
		return nil
	case err := <-ended:
		return fmt.Errorf("serve names: %w", err)
	}
}

// handle answers one question.
func (s *Server) handle(w dns.ResponseWriter, ask *dns.Msg) {
	reply := s.reply(w.RemoteAddr(), ask)
	if reply == nil {
		return
	}
	if err := w.WriteMsg(reply); err != nil {
		// The reply came from another server, or has a name that cannot be
		// encoded.
		failed := new(dns.Msg).SetRcode(ask, dns.RcodeServerFailure)
		_ = w.WriteMsg(failed) // the client may be gone
	}
}

// reply returns the answer to one question. There always is one, because a
// client that gets none would ask again.
func (s *Server) reply(from net.Addr, ask *dns.Msg) *dns.Msg {
	reply := new(dns.Msg).SetReply(ask)
	reply.RecursionAvailable = true
	client := addressOf(from)
	table := s.Lookup(client)
	_, overTCP := from.(*net.TCPAddr)
	switch {
	case table == nil: // others can reach us, too, but names are only for the network's own
		reply.Rcode = dns.RcodeRefused
	case ask.Opcode != dns.OpcodeQuery || len(ask.Question) != 1:
		reply.Rcode = dns.RcodeNotImplemented
	case ask.Question[0].Qclass == dns.ClassINET && table.answer(reply, ask.Question[0]):
		reply.Authoritative = true
	default:
		if !s.forwarded.take(client) {
			reply.Rcode = dns.RcodeServerFailure
			break
		}
		defer s.forwarded.give(client)
		reply = forward(ask, s.Upstream(client), overTCP)
	}
	size := dns.MinMsgSize
	if opt := ask.IsEdns0(); opt != nil {
		size = max(size, int(opt.UDPSize()))
		if reply.IsEdns0() == nil {
			reply.SetEdns0(opt.UDPSize(), false)
		}
	}
	if overTCP {
		size = dns.MaxMsgSize
	}
	reply.Truncate(size) // and set the bit that makes the client ask again over TCP
	return reply
}

func addressOf(a net.Addr) netip.Addr {
	switch a := a.(type) {
	case *net.UDPAddr:
		return a.AddrPort().Addr().Unmap()
	case *net.TCPAddr:
		return a.AddrPort().Addr().Unmap()
	}
	return netip.Addr{}
}
