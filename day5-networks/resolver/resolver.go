// Package resolver is the process that answers for the names on one network. It
// starts with the network's first container and ends with its last. It is on
// the host, at the addresses that the host has on the network.
//
// It grew from rung 09-names, plus: it knows who asks. A container may know the
// names on all networks that it is on, and nobody else knows any.
package resolver

import (
	"context"
	"errors"
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

// A resolver starts before main, as a shim does, and without what only the
// commands need.
func init() {
	if len(os.Args) == 4 && os.Args[1] == "resolver" {
		syscall.Exit(run(os.Args[2], os.Args[3]))
	}
}

// owners is how often it is looked whether anybody on the network lives: there is
// no event that says so.
const owners = 10 * time.Second

// run is all that a resolver does.
func run(root, id string) int {
	unix.CloseOnExec(background.Lock)
	k, server, err := prepare(root, id)
	if err != nil {
		return 1 // nobody is there to be told; the next command tries again
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		err := server.Serve(ctx)
		if err != nil { // somebody has closed our sockets: ss -K
			syscall.Exit(1) // without the lock the next command starts another
		}
		ended <- err
	}()
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		k.untilNobody(func() {
			stop()
			<-ended
			_ = unix.Close(background.Lock)
		})
	}()
	<-gone
	return 0
}

// prepare takes what was inherited, and gets ready to serve.
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

// inherited is a descriptor as a file whose reads have deadlines.
func inherited(fd int) *os.File {
	unix.CloseOnExec(fd)
	_ = unix.SetNonblock(fd, true) // os/exec has changed that; without it no read has one
	return os.NewFile(uintptr(fd), "inherited")
}

// untilNobody returns when nobody alive is on the network. Then end has been
// called, while nobody could come.
func (k *known) untilNobody(end func()) {
	for buffer := make([]byte, 4096); ; {
		// A record has gone, or it is time to look.
		_ = k.events.SetReadDeadline(time.Now().Add(owners))
		_, err := k.events.Read(buffer)
		if err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			if live, err := k.networks.OnRecord(k.own.ID); err != nil || len(live) > 0 && k.anyAlive() {
				continue
			}
		}
		if ended, err := k.endIfNobody(end); ended && err == nil {
			return
		}
	}
}

func (k *known) anyAlive() bool {
	live, err := k.networks.Live(k.own.ID)
	return err != nil || len(live) > 0
}

// endIfNobody calls end if nobody alive is on the network, and while nobody can be
// connected; it tells whether it has.
func (k *known) endIfNobody(end func()) (bool, error) {
	if _, err := os.Stat(k.networks.Path(k.own.ID, "endpoints")); err != nil {
		end() // the network has gone, or the store
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
		if alive, err := r.Alive(); alive || err != nil {
			return false, err
		}
	}
	end()
	return true, nil
}

// upstream gives the servers for what we do not know: those that the container
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
		if !k.isOurs(server.Addr()) { // we would ask ourselves for ever
			others = append(others, server)
		}
	}
	return others
}
