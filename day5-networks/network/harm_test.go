package network

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"example.com/go-docker/day5-networks/address"
)

// The table of neighbours is the whole machine's. So a container must not make the
// host ask for all of a network's addresses, by sending packets for them to the
// host's Ethernet addresses. What it may send there still arrives.
func TestNeighboursAreNotAskedFor(t *testing.T) {
	w := newWorld(t)
	c := w.create(Config{Name: "net", IPv6: true})
	w.create(Config{Name: "six", IPv6: true}) // whose bridge has an address in fe80::/64, too
	a, b := w.box("a"), w.box("b")
	e := a.on(Attachment{Network: "net"}, both(8080, 80)...)
	b.on(Attachment{Network: "six"})
	bridge, err := netlink.LinkByName(c.Bridge)
	if err != nil {
		t.Fatal(err)
	}
	port, err := netlink.LinkByName(e.HostInterface)
	if err != nil {
		t.Fatal(err)
	}
	mine := parseMAC(t, e.MAC)
	for _, to := range []net.HardwareAddr{bridge.Attrs().HardwareAddr, port.Attrs().HardwareAddr} {
		for i := range 50 {
			low := byte(100 + i)
			frame := ip4(to, mine, e.Addresses[0].Addr())
			unused := c.Subnets[0].Addr().As4()
			unused[3] = low
			copy(frame[30:], unused[:])
			a.send(t, frame)
			for _, prefix := range []netip.Addr{c.Subnets[1].Addr(), netip.MustParseAddr("fe80::")} {
				frame := ip6(to, mine, e.Addresses[1].Addr(), 128, netip.Addr{})
				unused := prefix.As16()
				unused[15] = low
				copy(frame[38:], unused[:])
				a.send(t, frame)
			}
		}
	}
	a.serve(t, 80, "a")
	netns{}.serve(t, 9000, "host")
	linkLocal := net.JoinHostPort(address.LinkLocal(bridge.Attrs().HardwareAddr).String()+"%eth0", "9000")
	for _, ask := range []string{at(c.Gateways[0], 9000), at(c.Gateways[1], 9000), linkLocal, at(hostIP, 8080), at(c.Gateways[0], 8080)} {
		for _, protocol := range []string{"tcp", "udp"} {
			if answer, err := a.ask(protocol, ask, patience); err != nil || answer == "" {
				t.Error(protocol, ask, answer, err)
			}
		}
	}
	for _, family := range []int{unix.AF_INET, unix.AF_INET6} {
		if all, err := netlink.NeighList(bridge.Attrs().Index, family); err != nil || len(all) > 5 {
			t.Errorf("%d neighbours of the bridge in family %d: %v", len(all), family, err)
		}
	}
}

// A damaged network.json stops nobody but who wants that network.
func TestDamaged(t *testing.T) {
	for what, text := range map[string]string{"empty": "", "cut": `{"Name":"x","ID":`, "null": "null", "of another": `{"Name":"x","ID":"0123456789ab"}`, "list": "[]"} {
		t.Run(what, func(t *testing.T) {
			w := newWorld(t)
			w.lan.serve(t, 9000, "lan")
			c := w.create(Config{Name: "x"})
			on, other := w.box("on"), w.box("other")
			on.on(Attachment{Network: "x"})
			other.on(Attachment{Network: DefaultName})
			if err := os.WriteFile(filepath.Join(w.networks.store.Dir, c.ID, "network.json"), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := w.networks.Recover(); err != nil {
				t.Fatal(err)
			}
			third := w.box("third")
			third.on(Attachment{Network: DefaultName})
			if answer, err := third.ask("tcp", at(lanIP, 9000), patience); err != nil {
				t.Error(answer, err)
			}
			for _, name := range []string{"x", c.ID} {
				_, err := w.networks.Connect(third.File, third.Owner, []Attachment{{Network: name}}, nil)
				if _, find := w.networks.Find(name); err == nil || find == nil || !strings.Contains(err.Error(), "network rm "+c.ID) || !strings.Contains(find.Error(), "network rm "+c.ID) {
					t.Error(name, err, find)
				}
			}
			if err := w.networks.Remove(c.ID); err == nil || !strings.Contains(err.Error(), "in use by on") {
				t.Error(err)
			}
			if made := w.create(Config{Name: "y"}); made.Subnets[0].Overlaps(c.Subnets[0]) {
				t.Error("a live network's subnet was given away:", made.Subnets)
			}
			if err := w.networks.Disconnect(on.Owner); err != nil {
				t.Fatal(err)
			}
			if there, err := netlink.LinkByName(c.Bridge); err == nil {
				t.Error("there is still", there.Attrs().Name)
			}
			if err := w.networks.Remove(c.ID); err != nil {
				t.Fatal(err)
			}
			if left, err := filepath.Glob(filepath.Join(w.networks.store.Dir, c.ID)); err != nil || len(left) > 0 {
				t.Error(left, err)
			}
			w.create(Config{Name: "x"})
		})
	}
}

// The default network has another bridge than its ID says.
func TestDamagedDefault(t *testing.T) {
	w := newWorld(t)
	a := w.box("a")
	a.on(Attachment{Network: DefaultName})
	c, err := w.networks.Find(DefaultName)
	if err == nil {
		err = os.Truncate(filepath.Join(w.networks.store.Dir, c.ID, "network.json"), 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.networks.Find(DefaultName); err == nil || !strings.Contains(err.Error(), "network rm "+c.ID) {
		t.Error(err)
	}
	if err := w.networks.Disconnect(a.Owner); err != nil {
		t.Fatal(err)
	}
	if err := w.networks.Remove(c.ID); err != nil {
		t.Fatal(err)
	}
	a.on(Attachment{Network: DefaultName})
}

// A container need not have a name, and is then called by its ID.
func TestWithoutAName(t *testing.T) {
	w := newWorld(t)
	b := w.box("b")
	b.Owner.Name = ""
	w.create(Config{Name: "net"})
	_, errNone := w.networks.Connect(b.File, b.Owner, []Attachment{{Network: "nowhere"}}, nil)
	b.on(Attachment{Network: "net"}, both(8080, 80)...)
	other := w.box("other")
	_, errPort := w.networks.Connect(other.File, other.Owner, []Attachment{{Network: "net"}}, both(8080, 80))
	w.create(Config{Name: "more"})
	for _, err := range []error{errNone, errPort, w.networks.Remove("net"), w.networks.Disconnect(b.Owner, "more")} {
		if err == nil || !strings.Contains(err.Error(), "b-id") {
			t.Error(err)
		}
	}
}

// What has come to the machine since a network was created may have its subnet.
func TestSubnetTakenSince(t *testing.T) {
	w := newWorld(t)
	w.create(Config{Name: "net", Subnets: []netip.Prefix{netip.MustParsePrefix("10.77.0.0/24")}})
	host := netns{}
	b := w.box("b")
	connect := func() error {
		_, err := w.networks.Connect(b.File, b.Owner, []Attachment{{Network: "net"}}, nil)
		return err
	}
	for _, test := range []struct {
		prefix  string
		refused bool
	}{{"10.77.0.0/24", true}, {"10.77.0.128/25", true}, {"10.77.0.0/16", false}} {
		host.run(t, "ip", "route", "add", test.prefix, "via", lanIP)
		err := connect()
		if refused := err != nil && strings.Contains(fmt.Sprint(err), "overlaps "+test.prefix); refused != test.refused || !refused && err != nil {
			t.Error(test.prefix, err)
		}
		if err == nil {
			err = connect() // "on it already", and not refused for its own bridge
			if err == nil || !strings.Contains(err.Error(), "already") {
				t.Error(err)
			}
			if err := w.networks.Disconnect(b.Owner); err != nil {
				t.Error(err)
			}
		}
		host.run(t, "ip", "route", "del", test.prefix)
	}
}

// Whether the rules are there, a look tells.
func TestGuarded(t *testing.T) {
	w := newWorld(t)
	w.box("a").on(Attachment{Network: DefaultName})
	look := func(want bool) {
		t.Helper()
		if is, err := w.networks.Guarded(); err != nil || is != want {
			t.Errorf("%v, %v, want %v", is, err, want)
		}
	}
	look(true)
	elsewhere := newNetns(t)
	_ = elsewhere.in(func() error { look(true); return nil })
	netns{}.run(t, "nft", "delete", "table", "bridge", w.networks.table)
	look(false)
	netns{}.run(t, "nft", "flush", "ruleset")
	look(false)
	if err := w.networks.Recover(); err != nil {
		t.Fatal(err)
	}
	look(true)
}
