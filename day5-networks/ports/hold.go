package ports

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"
)

// Held holds ports of the host, so that no other program can get them.
type Held struct{ sockets []int }

// Close releases the ports. A nil *Held holds none.
func (h *Held) Close() error {
	var err error
	if h != nil {
		for _, fd := range h.sockets {
			err = errors.Join(err, unix.Close(fd))
		}
		h.sockets = nil
	}
	return err
}

// Hold binds every port to a socket, and returns the ports with the numbers
// that were chosen. Either all are held or none. A firewall rule alone would
// silently take the port away from another program that uses it; with a socket,
// whoever comes second gets an error.
//
// If the same port of the container is in the list on 0.0.0.0 and, next, on ::,
// it gets one number for both.
func Hold(list []Port) ([]Port, *Held, error) {
	held := new(Held)
	chosen := slices.Clone(list)
	for i := 0; i < len(chosen); {
		n := 1
		if i+1 < len(chosen) && twins(chosen[i], chosen[i+1]) {
			n = 2
		}
		if err := held.choose(chosen[i : i+n]); err != nil {
			return nil, nil, errors.Join(err, held.Close())
		}
		i += n
	}
	return chosen, held, nil
}

func twins(a, b Port) bool {
	same := a
	same.HostIP = b.HostIP
	return same == b && a.HostIP == netip.IPv4Unspecified() && b.HostIP == netip.IPv6Unspecified()
}

// choose binds one port, or twins, and sets its number.
func (h *Held) choose(list []Port) error {
	number, err := h.bindAll(list, list[0].HostPort)
	// The number that the kernel has chosen may be taken on the other address.
	for try := 0; try < 100 && list[0].HostPort == 0 && errors.Is(err, unix.EADDRINUSE); try++ {
		number, err = h.bindAll(list, 0)
	}
	for i := range list {
		list[i].HostPort = number
	}
	return err
}

// bindAll binds a number on all of the addresses or on none. For 0, the kernel
// chooses a number on the first.
func (h *Held) bindAll(list []Port, number uint16) (uint16, error) {
	before := len(h.sockets)
	for _, p := range list {
		fd, got, err := bind(p, number)
		if err != nil {
			for _, fd := range h.sockets[before:] {
				_ = unix.Close(fd)
			}
			h.sockets = h.sockets[:before]
			return 0, err
		}
		h.sockets, number = append(h.sockets, fd), got
	}
	return number, nil
}

// bind makes a socket with the port. The socket accepts no connections, so one
// that no rule sends on to the container is refused instead of left waiting.
func bind(p Port, number uint16) (fd int, got uint16, err error) {
	kind := unix.SOCK_STREAM
	if p.Protocol == "udp" {
		kind = unix.SOCK_DGRAM
	}
	p.HostPort = number
	if !p.HostIP.IsValid() {
		p.HostIP = netip.IPv4Unspecified()
	}
	at := fmt.Sprintf("%s/%s", p.Public(), p.Protocol)
	family, address := sockaddr(p.HostIP, number)
	fd, err = unix.Socket(family, kind|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, 0, fmt.Errorf("make a socket for %s: %w", at, err)
	}
	defer func() {
		if err != nil {
			_ = unix.Close(fd)
		}
	}()
	if err := prepare(fd, family, kind); err != nil {
		return -1, 0, fmt.Errorf("prepare a socket for %s: %w", at, err)
	}
	err = unix.Bind(fd, address)
	if errors.Is(err, unix.EADDRINUSE) && kind == unix.SOCK_STREAM && number != 0 {
		err = bindAfterServer(fd, address)
	}
	if err != nil {
		return -1, 0, fmt.Errorf("bind %s: %w", at, explain(err))
	}
	got, err = portOf(fd)
	return fd, got, err
}

func prepare(fd, family, kind int) error {
	if family == unix.AF_INET6 { // 0.0.0.0 gets a socket of its own
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1); err != nil {
			return err
		}
	}
	if kind == unix.SOCK_STREAM {
		return nil
	}
	// Nobody reads what arrives here, so a filter that keeps 0 bytes drops it.
	// Otherwise the socket's buffer would fill up.
	// Documentation/networking/filter.rst
	drop := []unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K, K: 0}}
	return unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: 1, Filter: &drop[0]})
}

// bindAfterServer takes a port that is in use only by an ended server's
// connections in TIME_WAIT, which SO_REUSEADDR allows. But if all sockets on a
// port had the option when they were bound, kernels such as 6.1 let another one
// in that has it, even if the others have dropped it since: inet_csk_get_port,
// net/ipv4/inet_connection_sock.c. After listen(2) the kernel looks at each of
// them, so once the option is off again, nobody else gets the port. socket(7)
func bindAfterServer(fd int, address unix.Sockaddr) error {
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		return err
	}
	if err := unix.Bind(fd, address); err != nil {
		return err
	}
	if err := unix.Listen(fd, 0); err != nil {
		return err
	}
	// The socket keeps the port but accepts no connections. shutdown(2)
	if err := unix.Shutdown(fd, unix.SHUT_RD); err != nil {
		return err
	}
	return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 0)
}

func explain(err error) error {
	switch {
	case errors.Is(err, unix.EADDRINUSE):
		return fmt.Errorf("%w: another program or container has the port: ss -lntup shows which", err)
	case errors.Is(err, unix.EADDRNOTAVAIL):
		return fmt.Errorf("%w: it is no address of this host", err)
	}
	return err
}

func sockaddr(ip netip.Addr, port uint16) (family int, address unix.Sockaddr) {
	if ip.Is4() {
		return unix.AF_INET, &unix.SockaddrInet4{Port: int(port), Addr: ip.As4()}
	}
	return unix.AF_INET6, &unix.SockaddrInet6{Port: int(port), Addr: ip.As16()}
}

func portOf(fd int) (uint16, error) {
	address, err := unix.Getsockname(fd)
	if err != nil {
		return 0, fmt.Errorf("ask for the port that was chosen: %w", err)
	}
	switch a := address.(type) {
	case *unix.SockaddrInet4:
		return uint16(a.Port), nil
	case *unix.SockaddrInet6:
		return uint16(a.Port), nil
	}
	return 0, fmt.Errorf("a socket of kind %T", address)
}
