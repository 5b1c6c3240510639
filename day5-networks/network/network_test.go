package network

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"example.com/go-docker/day5-networks/address"
	"example.com/go-docker/day5-networks/ports"
)

func TestExhaustedAndReused(t *testing.T) {
	w := newWorld(t)
	w.create(Config{Name: "small", Subnets: []netip.Prefix{netip.MustParsePrefix("10.9.0.0/29")}})
	var boxes []*box
	for i := range 5 {
		b := w.box(fmt.Sprint("b", i))
		e := b.on(Attachment{Network: "small"})
		if want := fmt.Sprintf("10.9.0.%d/29", i+2); e.Addresses[0].String() != want {
			t.Errorf("got %s, want %s", e.Addresses[0], want)
		}
		boxes = append(boxes, b)
	}
	late := w.box("late")
	_, err := w.networks.Connect(late.File, late.Owner, []Attachment{{Network: "small"}}, nil)
	if !errors.Is(err, address.ErrFull) || !strings.Contains(err.Error(), "10.9.0.0/29") {
		t.Errorf("the sixth container: %v", err)
	}
	if out := late.run(t, "ip", "-br", "link"); strings.Contains(out, "eth0") {
		t.Error(out)
	}
	if err := w.networks.Disconnect(boxes[2].Owner); err != nil {
		t.Fatal(err)
	}
	if e := late.on(Attachment{Network: "small"}); e.Addresses[0].String() != "10.9.0.4/29" {
		t.Error("the freed address was not given again:", e.Addresses)
	}
	for what, a := range map[string]string{"in use": "10.9.0.4", "not in the subnet": "10.9.0.9", "broadcast": "10.9.0.7", "itself": "10.9.0.0", "is in use": "10.9.0.1"} {
		_, err := w.networks.Connect(boxes[2].File, boxes[2].Owner, []Attachment{{Network: "small", IP: netip.MustParseAddr(a)}}, nil)
		if err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("--ip %s: %v; want %q", a, err, what)
		}
	}
}

// Each has Networks of its own, as a process has.
func TestFiftyAtOnce(t *testing.T) {
	w := newWorld(t)
	var all sync.WaitGroup
	endpoints, errs := make([]Endpoint, 50), make([]error, 50)
	for i := range endpoints {
		b := w.box(fmt.Sprint("b", i))
		all.Go(func() {
			n, err := Open(w.root)
			if err == nil {
				var e []Endpoint
				if e, err = n.Connect(b.File, b.Owner, []Attachment{{Network: DefaultName}}, both(uint16(10000+i), 80)); err == nil {
					endpoints[i] = e[0]
				}
			}
			errs[i] = err
		})
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	addresses, macs := map[netip.Prefix]bool{}, map[string]bool{}
	for _, e := range endpoints {
		addresses[e.Addresses[0]], macs[e.MAC] = true, true
	}
	if len(addresses) != 50 || len(macs) != 50 {
		t.Errorf("%d different addresses and %d MACs for 50 containers", len(addresses), len(macs))
	}
	if list, err := w.networks.List(); err != nil || len(list) != 1 {
		t.Error(list, err)
	}
}

func TestTwoNetworksAndTheDefaultRoute(t *testing.T) {
	w := newWorld(t)
	w.create(Config{Name: "inner", Internal: true})
	w.create(Config{Name: "outer"})
	b := w.box("b")
	e, err := w.networks.Connect(b.File, b.Owner, []Attachment{{Network: "inner"}, {Network: "outer", Aliases: []string{"db"}}}, both(8080, 80))
	if err != nil {
		t.Fatal(err)
	}
	if e[0].Interface != "eth0" || e[1].Interface != "eth1" || len(e[0].Gateways) != 0 || len(e[1].Gateways) != 1 || len(e[0].Ports) != 0 || len(e[1].Ports) != 2 || e[1].Aliases[0] != "db" {
		t.Errorf("%+v", e)
	}
	later := b.on(Attachment{Network: DefaultName, MAC: "02:00:00:00:00:09", IP: netip.MustParseAddr("172.20.0.77")})
	if later.Interface != "eth2" || len(later.Gateways) != 0 || later.Addresses[0].String() != "172.20.0.77/16" {
		t.Errorf("%+v", later)
	}
	if out := b.run(t, "ip", "route"); strings.Count(out, "default") != 1 || !strings.Contains(out, "default via "+e[1].Gateways[0].String()+" dev eth1") {
		t.Error(out)
	}
	if out := b.run(t, "ip", "-br", "link", "show", "eth2"); !strings.Contains(out, "02:00:00:00:00:09") {
		t.Error(out)
	}
	if _, err := w.networks.Connect(b.File, b.Owner, []Attachment{{Network: "outer"}}, nil); err == nil || !strings.Contains(err.Error(), "already") {
		t.Error(err)
	}
	if err := w.networks.Remove("outer"); err == nil || !strings.Contains(err.Error(), "in use by b") {
		t.Error(err)
	}
	if err := w.networks.Disconnect(b.Owner, "outer"); err != nil {
		t.Fatal(err)
	}
	if out := b.run(t, "ip", "-br", "link"); strings.Contains(out, "eth1") || !strings.Contains(out, "eth2") {
		t.Error(out)
	}
	if err := w.networks.Remove("outer"); err != nil {
		t.Error(err)
	}
	if _, err := w.networks.Find("outer"); !errors.Is(err, ErrNone) {
		t.Error(err)
	}
	if err := w.networks.Disconnect(b.Owner, "outer"); !errors.Is(err, ErrNone) {
		t.Error(err)
	}
}

func TestMTUAndNames(t *testing.T) {
	w := newWorld(t)
	netns{}.run(t, "ip", "link", "set", "up0", "mtu", "1400")
	w.before = w.machine()
	set := w.create(Config{Name: "set", MTU: 1300})
	a, b := w.box("a"), w.box("b")
	e, set1 := a.on(Attachment{Network: DefaultName}), b.on(Attachment{Network: "set"})
	c, err := w.networks.Find(DefaultName)
	if err != nil {
		t.Fatal(err)
	}
	for _, check := range []struct {
		ns   netns
		link string
		mtu  string
	}{{a.netns, "eth0", "1400"}, {netns{}, e.HostInterface, "1400"}, {netns{}, c.Bridge, "1400"}, {b.netns, "eth0", "1300"}, {netns{}, set.Bridge, "1300"}} {
		if out := check.ns.run(t, "ip", "link", "show", check.link); !strings.Contains(out, "mtu "+check.mtu+" ") {
			t.Errorf("want MTU %s: %s", check.mtu, out)
		}
	}
	if len(set.Bridge) != 15 || len(e.HostInterface) != 15 || len(set1.HostInterface) != 15 {
		t.Error(set.Bridge, e.HostInterface)
	}
	before := netns{}.run(t, "ip", "-br", "link", "show", c.Bridge)
	w.box("low").on(Attachment{Network: DefaultName, MAC: "02:00:00:00:00:01"})
	if after := (netns{}).run(t, "ip", "-br", "link", "show", c.Bridge); after != before {
		t.Errorf("the bridge was %s and is %s", before, after)
	}
}

func TestCreate(t *testing.T) {
	w := newWorld(t)
	netns{}.run(t, "ip", "route", "add", "172.18.0.0/15", "via", lanIP) // a VPN
	netns{}.run(t, "ip", "route", "add", "0.0.0.0/1", "via", lanIP)     // another
	netns{}.run(t, "ip", "route", "add", "192.168.7.0/24", "via", lanIP, "table", "99")
	w.before = w.machine()
	pfx := func(s ...string) (p []netip.Prefix) {
		for _, s := range s {
			p = append(p, netip.MustParsePrefix(s))
		}
		return p
	}
	one := w.create(Config{Name: "one"})
	if one.Subnets[0].String() != "172.20.0.0/16" {
		t.Error("the first free subnet:", one.Subnets)
	}
	for what, c := range map[string]Config{
		"172.18.0.0/15":  {Name: "x", Subnets: pfx("172.19.1.0/24")},
		"192.168.7.0/24": {Name: "x", Subnets: pfx("192.168.0.0/16")},
		"172.20.0.0/16":  {Name: "x", Subnets: pfx("172.20.9.0/24")},
		"192.0.2.0/24":   {Name: "x", Subnets: pfx("192.0.2.128/25")},
		"already exists": {Name: "one"},
		"letters":        {Name: "a b"},
		"not host":       {Name: "host"},
		"MTU":            {Name: "x", MTU: 9},
		"range":          {Name: "x", Subnets: pfx("10.0.0.0/24"), Ranges: pfx("10.0.1.0/25")},
		"broadcast":      {Name: "x", Subnets: pfx("10.0.0.0/24"), Gateways: []netip.Addr{netip.MustParseAddr("10.0.0.255")}},
		"one IPv4":       {Name: "x", Subnets: pfx("10.0.0.0/24", "10.0.1.0/24")},
		"no room":        {Name: "x", Subnets: pfx("10.0.0.0/31")},
	} {
		if _, err := w.networks.Create(c); err == nil || !strings.Contains(err.Error(), what) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%+v: %v; want %q", c, err, what)
		}
	}
	two := w.create(Config{Name: "two", Subnets: pfx("10.1.0.0/24"), Ranges: pfx("10.1.0.128/25"), Gateways: []netip.Addr{netip.MustParseAddr("10.1.0.254")}, IPv6: true})
	b := w.box("b")
	if e := b.on(Attachment{Network: two.ID[:5]}); e.Addresses[0].String() != "10.1.0.128/24" || e.Gateways[0].String() != "10.1.0.254" || !two.Subnets[1].Contains(e.Addresses[1].Addr()) {
		t.Errorf("%+v", e)
	}
	list, err := w.networks.List()
	if err != nil || len(list) != 2 || list[0].Name != "one" || list[1].Name != "two" {
		t.Error(list, err)
	}
	if _, err := w.networks.Find(""); !errors.Is(err, ErrNone) {
		t.Error(err)
	}
	for _, route := range []string{"172.18.0.0/15", "0.0.0.0/1"} {
		netns{}.run(t, "ip", "route", "del", route)
	}
	netns{}.run(t, "ip", "route", "flush", "table", "99")
	if err := w.networks.Disconnect(b.Owner); err != nil {
		t.Error(err)
	}
	w.before = w.machine()
}

// A container whose shim was killed is started again before anybody looks.
func TestStartedAgain(t *testing.T) {
	w := newWorld(t)
	a := w.box("a")
	before := a.on(Attachment{Network: DefaultName}, both(8080, 80)...)
	a.Close() // the namespace goes, and the lock is held: as if taken again
	a.netns = newNetns(t)
	after := a.on(Attachment{Network: DefaultName}, both(8080, 80)...)
	if after.Addresses[0] != before.Addresses[0] || after.HostInterface == before.HostInterface {
		t.Errorf("before %+v, after %+v", before, after)
	}
	if live, err := w.networks.OnRecord(after.Network); err != nil || len(live) != 1 {
		t.Error(live, err)
	}
	a.lock.Close()
	if err := w.networks.Recover(); err != nil {
		t.Error(err)
	}
	if live, err := w.networks.OnRecord(after.Network); err != nil || len(live) != 0 {
		t.Error("a dead container's endpoint:", live, err)
	}
	a.live()
}

// Forwarding that somebody else has turned on stays, and what was changed since
// is left.
func TestForwardingIsOthersToo(t *testing.T) {
	w := newWorld(t)
	set := func(path, value string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(value), 0); err != nil {
			t.Fatal(err)
		}
	}
	const path = "/proc/sys/net/ipv4/ip_forward"
	t.Cleanup(func() { set(path, "0"); w.before = w.machine() })
	set(path, "1")
	w.before = w.machine()
	a := w.box("a")
	a.on(Attachment{Network: DefaultName})
	if out := (netns{}).run(t, "nft", "list", "ruleset"); strings.Contains(out, "meta nfproto ipv4 drop") {
		t.Error("others' packets are dropped:", out)
	}
	if err := w.networks.Disconnect(a.Owner); err != nil {
		t.Fatal(err)
	}
	if after := w.machine(); after != w.before {
		t.Error(after)
	}
	set(path, "0")
	a.on(Attachment{Network: DefaultName})
	if out := (netns{}).run(t, "nft", "list", "ruleset"); !strings.Contains(out, "meta nfproto ipv4 drop") {
		t.Error("with us everything is forwarded:", out)
	}
	set(path, "0") // somebody does not want it
	if err := w.networks.Disconnect(a.Owner); err != nil {
		t.Fatal(err)
	}
}

// Two hundred containers on a network: no address twice, and the last costs
// little more than the first: in processor time, which does not depend on what
// else the machine has to do.
func TestTwoHundred(t *testing.T) {
	w := newWorld(t)
	logrus.SetOutput(io.Discard)
	defer logrus.SetOutput(os.Stderr)
	w.box("zeroth").on(Attachment{Network: DefaultName}) // which makes the bridge
	addresses := map[netip.Prefix]bool{}
	var took []time.Duration
	spent := func() time.Duration {
		var usage unix.Rusage
		if err := unix.Getrusage(unix.RUSAGE_SELF, &usage); err != nil {
			t.Fatal(err)
		}
		return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
	}
	containers := 200
	if testing.Short() {
		containers = 60
	}
	for i := range containers {
		b := w.box(fmt.Sprint("b", i))
		start := spent()
		e := b.on(Attachment{Network: DefaultName}, ports.Port{HostPort: uint16(10000 + i), Port: 80, Protocol: "tcp"})
		took = append(took, spent()-start)
		addresses[e.Addresses[0]] = true
	}
	if len(addresses) != containers {
		t.Errorf("%d different addresses for %d containers", len(addresses), containers)
	}
	out := netns{}.run(t, "nft", "-t", "list", "table", "inet", w.networks.table) // without elements
	if lines := strings.Count(out, "\n"); lines > 120 {
		t.Errorf("the table has %d lines: %s", lines, out)
	}
	median := func(d []time.Duration) time.Duration {
		d = slices.Clone(d)
		slices.Sort(d)
		return d[len(d)/2]
	}
	first, last := median(took[:20]), median(took[containers-20:])
	t.Logf("Connect took %v at first, %v at last", first, last)
	if last > 4*first+20*time.Millisecond {
		t.Errorf("Connect took %v at first, %v at last", first, last)
	}
}

// We forward for our networks: nobody else's packets, unless they were forwarded
// before.
func TestOthersAreNotForwarded(t *testing.T) {
	w := newWorld(t)
	side := newNetns(t)
	host := netns{}
	veth := &netlink.Veth{LinkAttrs: netlink.NewLinkAttrs(), PeerName: "eth0", PeerNamespace: netlink.NsFd(side.Fd())}
	veth.Name = "side0"
	if err := netlink.LinkAdd(veth); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = netlink.LinkDel(veth) }()
	host.run(t, "ip", "addr", "add", "198.51.100.1/24", "dev", "side0")
	host.run(t, "ip", "link", "set", "side0", "up")
	side.run(t, "ip", "addr", "add", "198.51.100.2/24", "dev", "eth0")
	side.run(t, "ip", "link", "set", "eth0", "up")
	side.run(t, "ip", "route", "add", "default", "via", "198.51.100.1")
	w.lan.run(t, "ip", "route", "add", "198.51.100.0/24", "via", hostIP)
	w.lan.serve(t, 9000, "lan")
	w.box("a").on(Attachment{Network: DefaultName})
	if answer, err := side.ask("tcp", at(lanIP, 9000), 300*time.Millisecond); err == nil {
		t.Error("forwarded:", answer)
	}
	host.run(t, "nft", "flush", "chain", "inet", w.networks.table, "forward")
	if _, err := side.ask("tcp", at(lanIP, 9000), patience); err != nil {
		t.Error("without our rules it is not forwarded either:", err)
	}
	if err := netlink.LinkDel(veth); err != nil {
		t.Fatal(err)
	}
	if err := w.networks.Disconnect(Owner{ID: "a-id"}); err != nil {
		t.Error(err)
	}
}

// Two stores on a machine are not in each other's way, and the last one turns
// off the light.
func TestTwoStores(t *testing.T) {
	w := newWorld(t)
	w.lan.serve(t, 9000, "lan")
	other, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	a, b := w.box("a"), w.box("b")
	a.on(Attachment{Network: DefaultName})
	e, err := other.Connect(b.File, b.Owner, []Attachment{{Network: DefaultName}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range []*box{a, b} {
		if answer, err := x.ask("tcp", at(lanIP, 9000), patience); err != nil {
			t.Error(x.Name, answer, err)
		}
	}
	a.serve(t, 80, "a")
	b.serve(t, 80, "b")
	if answer, err := a.ask("tcp", at(e[0].Addresses[0], 80), 300*time.Millisecond); err == nil {
		t.Error("the other store's container:", answer)
	}
	if err := w.networks.Disconnect(a.Owner); err != nil {
		t.Fatal(err)
	}
	if answer, err := b.ask("tcp", at(lanIP, 9000), patience); err != nil {
		t.Error("after the other store's container has gone:", answer, err)
	}
	if err := other.Disconnect(b.Owner); err != nil {
		t.Fatal(err)
	}
	if err := w.networks.Recover(); err != nil {
		t.Fatal(err)
	}
}

// Who publishes a port after a container that was killed gets it.
func TestPortOfTheDead(t *testing.T) {
	w := newWorld(t)
	a, b := w.box("a"), w.box("b")
	a.on(Attachment{Network: DefaultName}, both(8080, 80)...)
	if _, err := w.networks.Connect(b.File, b.Owner, []Attachment{{Network: DefaultName}}, both(8080, 80)); err == nil || !strings.Contains(err.Error(), "by container a") {
		t.Error(err)
	}
	a.lock.Close()
	if e := b.on(Attachment{Network: DefaultName}, both(8080, 80)...); e.Addresses[0].Addr().As4()[3] != 2 {
		t.Error(e.Addresses)
	}
	a.live()
}

// A host that has its default route from an IPv6 router keeps it.
func TestRouterAdvertised(t *testing.T) {
	w := newWorld(t)
	netns{}.run(t, "ip", "-6", "route", "replace", "default", "via", lanIP6, "dev", "up0", "proto", "ra")
	w.before = w.machine()
	w.create(Config{Name: "six", IPv6: true})
	a := w.box("a")
	a.on(Attachment{Network: "six"})
	text, err := os.ReadFile("/proc/sys/net/ipv6/conf/up0/accept_ra")
	if err != nil || strings.TrimSpace(string(text)) != "2" {
		t.Errorf("accept_ra is %s, %v", text, err)
	}
}
