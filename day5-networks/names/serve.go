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

// A Server answers questions.
type Server struct {
	// Lookup gives what a client may know now; nil: nothing, it is no client
	// of ours.
	Lookup func(client netip.Addr) *Table
	// Upstream gives the servers to ask for the rest, the best first.
	Upstream func(client netip.Addr) []netip.AddrPort

	servers     []*dns.Server
	connections shares
	forwarded   shares // questions that are with others
}

// mostForwarded is how many questions may be with others at once: each has a
// goroutine and a socket.
const mostForwarded = 256

// longestQuestion is in bytes, over UDP.
const longestQuestion = 4096

// Use takes the sockets at which to answer: they are bound, and those of TCP
// listen. The files are closed.
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

// Serve answers what comes to the sockets, until ctx ends. It returns nil then.
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
		// Such a message came from above, or has a name that nobody can ask for.
		failed := new(dns.Msg).SetRcode(ask, dns.RcodeServerFailure)
		_ = w.WriteMsg(failed) // the client may be gone
	}
}

// reply is the answer to one question. A client that gets none asks again, so
// there is always one.
func (s *Server) reply(from net.Addr, ask *dns.Msg) *dns.Msg {
	reply := new(dns.Msg).SetReply(ask)
	reply.RecursionAvailable = true
	client := addressOf(from)
	table := s.Lookup(client)
	_, overTCP := from.(*net.TCPAddr)
	switch {
	case table == nil: // whoever else can reach us: names are for the network's own
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
	reply.Truncate(size) // with the bit that has the client ask again by TCP
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
