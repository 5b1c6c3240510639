package background

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"example.com/go-docker/day5-networks/lock"
)

// patience is how long a resolver whose network has gone may take to end.
const patience = 2 * time.Second

// bindSoon is bind. But the addresses may be those of a network that was just
// removed, whose resolver is about to end.
func bindSoon(at []netip.Addr) (sockets []*os.File, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var last error
	err = lock.Poll(ctx, func() (bool, error) {
		sockets, last = bind(at)
		return !errors.Is(last, unix.EADDRINUSE), nil
	})
	if err != nil || last != nil {
		return nil, last
	}
	return sockets, nil
}

// bind makes the sockets at which a resolver answers, for UDP and TCP at each
// address. They are there before it is: what comes meanwhile waits in them.
func bind(at []netip.Addr) (sockets []*os.File, err error) {
	// A gateway's address may be about to come: freebind of ip(7). And a server of
	// the host that has the port on all addresses may allow us ours, SO_REUSEADDR.
	config := net.ListenConfig{Control: func(network, _ string, raw syscall.RawConn) (err error) {
		errControl := raw.Control(func(fd uintptr) {
			err = errors.Join(unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEADDR, 1), freebind(int(fd), network))
		})
		return errors.Join(errControl, err)
	}}
	for _, a := range at {
		where := netip.AddrPortFrom(a, 53).String()
		udp, err := config.ListenPacket(context.Background(), "udp", where)
		if err == nil {
			sockets, err = keep(sockets, udp.(*net.UDPConn))
		}
		var tcp net.Listener
		if err == nil {
			tcp, err = config.Listen(context.Background(), "tcp", where)
		}
		if err == nil {
			sockets, err = keep(sockets, tcp.(*net.TCPListener))
		}
		if err != nil {
			closeAll(sockets)
			return nil, explain(err)
		}
	}
	return sockets, nil
}

// keep adds a copy of the socket, one to be inherited, and closes the socket.
func keep(sockets []*os.File, socket interface {
	File() (*os.File, error)
	Close() error
}) ([]*os.File, error) {
	file, err := socket.File()
	if err = errors.Join(err, socket.Close()); err != nil {
		return sockets, err
	}
	return append(sockets, file), nil
}

func closeAll(files []*os.File) {
	for _, file := range files {
		_ = file.Close()
	}
}

func freebind(fd int, network string) error {
	if strings.HasSuffix(network, "6") {
		return unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_FREEBIND, 1)
	}
	return unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_FREEBIND, 1)
}

func explain(err error) error {
	if errors.Is(err, unix.EADDRINUSE) {
		return fmt.Errorf("%w: another DNS server of this host has the port on all addresses: let it listen on its own alone (dnsmasq: bind-interfaces)", err)
	}
	return err
}

// watch returns a file from which changes of a directory can be read. inotify(7)
func watch(dir string) (*os.File, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, &os.PathError{Op: "watch", Path: dir, Err: err}
	}
	events := os.NewFile(uintptr(fd), "inotify")
	if _, err := unix.InotifyAddWatch(fd, dir, unix.IN_DELETE|unix.IN_DELETE_SELF|unix.IN_MOVE_SELF); err != nil {
		return nil, errors.Join(&os.PathError{Op: "watch", Path: dir, Err: err}, events.Close())
	}
	return events, nil
}
