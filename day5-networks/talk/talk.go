// Package talk is a server that says who it is and who asks, and who asks it: so
// one sees which way a request has gone. The ladder has no rung for it: it pings, and
// asks busybox's httpd.
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

// A Server says who it is and who asks, on a port of TCP and of UDP.
type Server struct {
	tcp net.Listener
	udp net.PacketConn
}

// Listen makes a server in the network namespace of this thread.
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
			_, _ = fmt.Fprintf(client, "%s, to %s", name, hostOf(client.RemoteAddr())) // it may be gone
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

// What Ask returns when it gets no answer.
const (
	Silence = "silence"
	Refused = "refused"
)

// Ask returns what a server answers. patience is for one that is there; where
// nothing answers, that is seen when it is over.
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
