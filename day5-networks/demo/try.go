package demo

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"example.com/go-docker/day5-networks/lock"
	"example.com/go-docker/day5-networks/network"
	"example.com/go-docker/day5-networks/talk"
)

// aloneInNetns makes sure that this process has a network namespace with nothing
// in it, before anything is changed there.
func aloneInNetns() error {
	links, err := net.Interfaces()
	if err != nil {
		return err
	}
	if len(links) != 1 || links[0].Flags&net.FlagUp != 0 {
		return errors.New("this is a part of the demo, which starts it in a network namespace of its own")
	}
	return nil
}

// tryPaths sends a request along each path, by TCP and by UDP, draws the world,
// and prints what has happened.
func (d *demonstration) tryPaths(ctx context.Context) error {
	if err := d.untilUp(ctx); err != nil {
		return err
	}
	var lan *talk.Server
	err := d.world.InLAN(func() (err error) {
		lan, err = talk.Listen(80, "lan")
		return err
	})
	if err != nil {
		return err
	}
	defer lan.Close()
	addresses, err := d.addresses()
	if err != nil {
		return err
	}
	d.Paths = Paths(addresses)
	var all sync.WaitGroup
	errs := make([]error, 2*len(d.Paths))
	for i := range d.Paths {
		p := &d.Paths[i]
		all.Go(func() { p.TCP, errs[2*i] = d.ask(ctx, p, "tcp") })
		all.Go(func() { p.UDP, errs[2*i+1] = d.ask(ctx, p, "udp") })
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	var text strings.Builder
	Draw(&text, addresses)
	if err := Print(&text, d.Paths); err != nil {
		return err
	}
	d.show("%s\n", &text)
	for _, p := range d.Paths {
		if !p.Right() {
			return fmt.Errorf("%s, %s: TCP %q, UDP %q; want %q", p.Name, p.To, p.TCP, p.UDP, p.Want)
		}
	}
	return nil
}

// ask sends a request from where the path begins.
func (d *demonstration) ask(ctx context.Context, p *Path, protocol string) (answer string, err error) {
	patience := 5 * time.Second
	if p.Want == talk.Silence {
		patience = 500 * time.Millisecond // what comes, comes within a millisecond
	}
	switch p.From {
	case "host":
		return talk.Ask(ctx, protocol, p.To, patience), nil
	case "lan":
		err = d.world.InLAN(func() error {
			answer = talk.Ask(ctx, protocol, p.To, patience)
			return nil
		})
		return answer, err
	}
	answer, status, err := d.run(ctx, "exec", p.From, "/bin/day5-networks", "payload", "ask", protocol, p.To, patience.String())
	if err == nil && status != 0 {
		err = fmt.Errorf("ask from %s: exit status %d: %s", p.From, status, answer)
	}
	return answer, err
}

// untilUp waits until web answers. run -d has returned when its command was
// executed, which then takes a moment to get anywhere.
func (d *demonstration) untilUp(ctx context.Context) error {
	return lock.Poll(ctx, func() (bool, error) {
		return strings.HasPrefix(talk.Ask(ctx, "tcp", "127.0.0.1:8080", time.Second), "web"), nil
	})
}

func (d *demonstration) addresses() (a Addresses, err error) {
	n, err := network.Open(d.store.Root)
	if err != nil {
		return a, err
	}
	all, err := n.List()
	if err != nil {
		return a, err
	}
	for _, c := range all {
		endpoints, err := n.OnRecord(c.ID)
		if err != nil {
			return a, err
		}
		for _, e := range endpoints {
			switch own := e.Addresses[0].Addr().String(); e.Name {
			case "web":
				a.Web, a.Bridge, a.Gateway = own, c.Bridge, c.Gateways[0].String()
			case "box":
				a.Box = own
			case "far":
				a.Far, a.FarBridge, a.FarGateway = own, c.Bridge, c.Gateways[0].String()
			}
		}
	}
	return a, nil
}
