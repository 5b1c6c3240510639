// Package resolver is the process that answers queries for the names on one
// network. It starts with the network's first container and ends with its last.
// It runs on the host, at the host's addresses on the network.
//
// It grew from rung 09-names, and knows who asks: a container may look up the
// names on all of its own networks, and the host those on this one; anybody
// else is refused.
package resolver

import (
	"context"
	"net/netip"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"example.com/go-docker/day5-networks/background"
	"example.com/go-docker/day5-networks/etc"
	"example.com/go-docker/day5-networks/names"
	"example.com/go-docker/day5-networks/netstate"
	"example.com/go-docker/day5-networks/state"
)

// Like a shim, a resolver starts before main, without what only the commands
// need.
func init() {
	if len(os.Args) == 4 && os.Args[1] == "resolver" {
		syscall.Exit(run(os.Args[2], os.Args[3]))
	}
}

// owners is how often to check whether any container on the network is alive,
// because there is no event for it.
const owners = 10 * time.Second

// run is everything that a resolver does.
func run(root, id string) int {
	unix.CloseOnExec(background.Lock)
	k, server, err := prepare(root, id)
	if err != nil {
		return 1 // nobody would read a message; the next command tries again
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		err := server.Serve(ctx)
		if err != nil { // somebody has closed our sockets, as with ss -K
			syscall.Exit(1) // this drops the lock, so the next command starts another
		}
		ended <- err
	}()
	k.untilNobody(func() {
		stop()
		<-ended
		_ = unix.Close(background.Lock)
	})
	return 0
}

// prepare takes over the inherited descriptors and gets ready to serve.
func prepare(root, id string) (*known, *names.Server, error) {
	k := &known{networks: netstate.Store{Dir: filepath.Join(root, "networks")}}
	k.events = inherited(background.Events)
	configs, err := k.networks.ReadConfigs()
	if err != nil {
		return nil, nil, err
	}
	c, err := netstate.Find(configs, id)
	if err != nil {
		return nil, nil, err
	}
	k.own = *c
	server := &names.Server{Lookup: k.lookup, Upstream: k.upstream}
	var sockets []*os.File
	for i := range 2 * len(c.Gateways) {
		sockets = append(sockets, inherited(background.Sockets+i))
	}
	return k, server, server.Use(sockets)
}

// inherited returns a descriptor as a file with read deadlines.
func inherited(fd int) *os.File {
	unix.CloseOnExec(fd)
	_ = unix.SetNonblock(fd, true) // os/exec cleared that, and without it there are no deadlines
	return os.NewFile(uintptr(fd), "inherited")
}

// untilNobody returns when no living container is on the network. By then it
// has called end, at a time when none could connect.
func (k *known) untilNobody(end func()) {
	for buffer := make([]byte, 4096); ; {
		// Until a record goes, or until it is time to check.
		_ = k.events.SetReadDeadline(time.Now().Add(owners))
		_, _ = k.events.Read(buffer)
		if ended, err := k.endIfNobody(end); ended && err == nil {
			return
		}
	}
}

// endIfNobody calls end if no living container is on the network, at a time
// when none can connect, and reports whether it has.
func (k *known) endIfNobody(end func()) (bool, error) {
	if _, err := os.Stat(k.networks.Path(k.own.ID, "endpoints")); err != nil {
		end() // the network or the store has gone
		return true, nil
	}
	s, err := k.networks.Begin()
	if err != nil {
		return false, err
	}
	defer s.End()
	for _, r := range s.Records {
		if r.Network != k.own.ID {
			continue
		}
		if alive, err := r.Alive(s.Boot); alive || err != nil {
			return false, err
		}
	}
	end()
	return true, nil
}

// upstream returns the servers to ask for other names: those that the container
// was given with --dns, or the host's.
func (k *known) upstream(client netip.Addr) []netip.AddrPort {
	servers := etc.Upstreams()
	if dir := k.containerDir(client); dir != "" {
		if config, err := state.ReadNetwork(dir); err == nil && len(config.DNS) > 0 {
			servers = etc.Ports(config.DNS)
		}
	}
	var others []netip.AddrPort
	for _, server := range servers {
		if !k.isOurs(server.Addr()) { // or we would ask ourselves forever
			others = append(others, server)
		}
	}
	return others
}
