// Package talk is a server that replies with its own name and the client's
// address, and its client, which together show the way that a request has
// taken. The ladder has no rung for it, because it uses ping and busybox's
// httpd.
package talk

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"time"
)

// A Server replies with its own name and the client's address, on a TCP and a
// UDP port.
type Server struct {
	tcp net.Listener
	udp net.PacketConn
}

// Listen makes a server in the calling thread's network namespace.
func Listen(port int, name string) (*Server, error) {
	tcp, err := net.Listen("tcp", fmt.Sprintf(":%d", port))
	if err != nil {
		return nil, err
	}
	udp, err := net.ListenPacket("udp", fmt.Sprintf(":%d", port))
	if err != nil {
		return nil, errors.Join(err, tcp.Close())
	}
	go func() {
		for {
			client, err := tcp.Accept()
			if err != nil {
				return
			}
			_, _ = fmt.Fprintf(client, "%s, to %s", name, hostOf(client.RemoteAddr())) // the client may be gone
			_ = client.Close()
		}
	}()
	go func() {
		for buffer := make([]byte, 64); ; {
			_, client, err := udp.ReadFrom(buffer)
			if err != nil {
				return
			}
			_, _ = udp.WriteTo(fmt.Appendf(nil, "%s, to %s", name, hostOf(client)), client)
		}
	}()
	return &Server{tcp, udp}, nil
}

func hostOf(a net.Addr) string {
	at, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return a.String()
	}
	return at.Addr().Unmap().String()
}

// Close ends the server.
func (s *Server) Close() error { return errors.Join(s.tcp.Close(), s.udp.Close()) }

// What Ask returns if it gets no answer.
const (
	Silence = "silence"
	Refused = "refused"
)

// Ask returns a server's answer, or Silence once patience is over.
func Ask(ctx context.Context, protocol, at string, patience time.Duration) string {
	ctx, stop := context.WithTimeout(ctx, patience)
	defer stop()
	dialer := net.Dialer{Resolver: &net.Resolver{PreferGo: true}}
	server, err := dialer.DialContext(ctx, protocol, at)
	if err != nil {
		return reason(err)
	}
	defer server.Close()
	_ = server.SetDeadline(time.Now().Add(patience))
	if protocol == "udp" {
		if _, err := server.Write([]byte("who are you?")); err != nil {
			return reason(err)
		}
	}
	buffer := make([]byte, 256)
	n, err := server.Read(buffer)
	if n == 0 && err != nil {
		return reason(err)
	}
	return string(buffer[:n])
}

func reason(err error) string {
	var late net.Error
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return Refused
	case errors.As(err, &late) && late.Timeout():
		return Silence
	}
	return err.Error()
}
