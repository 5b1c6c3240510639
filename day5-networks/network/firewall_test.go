package network

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"example.com/go-docker/day5-networks/ports"
)

// logged returns what f has logged.
func logged(t testing.TB, f func()) string {
	t.Helper()
	var out bytes.Buffer
	logrus.SetOutput(&out)
	defer logrus.SetOutput(os.Stderr)
	f()
	return out.String()
}

// What we have added to the chains of iptables, iptables can read; and what drops
// everything lets names pass.
func TestIptables(t *testing.T) {
	w := newWorld(t)
	w.prepare("0", []string{
		"iptables -P FORWARD DROP", "iptables -A FORWARD -s 10.99.0.0/16 -j ACCEPT", "iptables -P INPUT DROP",
		"iptables -A INPUT -i lo -j ACCEPT", "iptables -A INPUT -i go-d-nothing -p udp --dport 53 -j ACCEPT",
	})
	a := w.box("a")
	var e Endpoint
	said := logged(t, func() { e = a.on(Attachment{Network: DefaultName}) })
	c, err := w.networks.Find(DefaultName)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Count(said, "\n") != 3 || !strings.Contains(said, "FORWARD") || !strings.Contains(said, "INPUT") || !strings.Contains(said, "ip_forward") {
		t.Error(said)
	}
	got := netns{}.run(t, "iptables", "-S")
	for _, rule := range []string{
		"-A FORWARD -s 10.99.0.0/16 -j ACCEPT\n-A FORWARD -i BRIDGE -j ACCEPT\n-A FORWARD -o BRIDGE -j ACCEPT\n",
		"--dport 53 -j ACCEPT\n-A INPUT -i BRIDGE -p udp -m udp --dport 53 -j ACCEPT\n-A INPUT -i BRIDGE -p tcp -m tcp --dport 53 -j ACCEPT\n",
	} {
		if rule = strings.ReplaceAll(rule, "BRIDGE", c.Bridge); !strings.Contains(got, rule) {
			t.Errorf("no\n%s in\n%s", rule, got)
		}
	}
	b := w.box("b")
	if said := logged(t, func() { b.on(Attachment{Network: DefaultName}) }); said != "" {
		t.Error("said again:", said)
	}
	if again := (netns{}).run(t, "iptables", "-S"); again != got {
		t.Error("the rules are there twice:", again)
	}
	netns{}.serve(t, 53, "names")
	for _, protocol := range []string{"tcp", "udp"} {
		if answer, err := a.ask(protocol, at(e.DNS, 53), patience); err != nil || !strings.HasPrefix(answer, "names") {
			t.Error(protocol, answer, err)
		}
	}
}

// Where we must not write, somebody has to be told.
func TestFirewallOfOthers(t *testing.T) {
	for _, firewall := range []struct{ table, line string }{
		{"other", "nft insert rule inet other forward iifname BRIDGE accept; nft insert rule inet other forward oifname BRIDGE accept"},
		{"firewalld", "firewall-cmd --zone=trusted --add-interface=BRIDGE"},
	} {
		t.Run(firewall.table, func(t *testing.T) {
			w := newWorld(t)
			w.prepare("0", []string{"nft add table inet " + firewall.table, "nft add chain inet " + firewall.table + " forward { type filter hook forward priority 10 ; policy drop ; }"})
			a := w.box("a")
			said := logged(t, func() { a.on(Attachment{Network: DefaultName}) })
			c, err := w.networks.Find(DefaultName)
			if err != nil {
				t.Fatal(err)
			}
			if want := strings.ReplaceAll(firewall.line, "BRIDGE", c.Bridge); strings.Count(said, "level=warning") != 1 || !strings.Contains(said, want) {
				t.Errorf("%q; want %q", said, want)
			}
			if firewall.table == "other" { // what it says helps
				w.lan.serve(t, 9000, "lan")
				if answer, err := a.ask("tcp", at(lanIP, 9000), 300*time.Millisecond); err == nil {
					t.Error("it did not drop:", answer)
				}
				for _, line := range strings.Split(strings.ReplaceAll(firewall.line, "BRIDGE", c.Bridge), "; ") {
					args := strings.Fields(line)
					netns{}.run(t, args[0], args[1:]...)
				}
				if answer, err := a.ask("tcp", at(lanIP, 9000), patience); err != nil || answer == "" {
					t.Error(answer, err)
				}
				netns{}.run(t, "nft", "flush", "table", "inet", "other")
			}
		})
	}
}

func TestIptablesLegacy(t *testing.T) {
	w := newWorld(t)
	a := w.box("a")
	w.lan.serve(t, 9000, "lan")
	connect := func() string {
		t.Helper()
		said := logged(t, func() { a.on(Attachment{Network: DefaultName}) })
		return strings.Join(slices.DeleteFunc(strings.Split(said, "\n"), func(l string) bool { return !strings.Contains(l, "level=warning") }), "\n")
	}
	host := netns{}
	for _, name := range []string{"ip_tables_names", "ip6_tables_names"} {
		if text, err := os.ReadFile("/proc/net/" + name); err != nil || len(text) > 0 {
			t.Fatalf("%s: %q, %v", name, text, err)
		}
	}
	if said := connect(); said != "" {
		t.Error(said)
	}
	if text, _ := os.ReadFile("/proc/net/ip_tables_names"); len(text) > 0 {
		t.Error("we have made the old tables")
	}
	for _, name := range []string{"iptables-legacy", "ip6tables-legacy"} {
		if err := w.networks.Disconnect(a.Owner); err != nil {
			t.Fatal(err)
		}
		host.run(t, name, "-A", "FORWARD", "-s", map[string]string{"iptables-legacy": "10.99.0.1", "ip6tables-legacy": "fd99::1"}[name], "-j", "ACCEPT")
		if said := connect(); said != "" {
			t.Error("policy ACCEPT:", said)
		}
		if err := w.networks.Disconnect(a.Owner); err != nil {
			t.Fatal(err)
		}
		host.run(t, name, "-P", "FORWARD", "DROP")
		said := connect()
		_, commands, found := strings.Cut(strings.TrimSuffix(said, "\""), "of the containers: ")
		if !found || strings.Count(said, "\n") != 0 || !strings.Contains(said, "policy of "+name+" is DROP") {
			t.Fatal(said)
		}
		for _, command := range strings.Split(commands, "; ") { // what it says helps
			args := strings.Fields(command)
			host.run(t, args[0], args[1:]...)
		}
		if answer, err := a.ask("tcp", at(lanIP, 9000), patience); err != nil {
			t.Error(answer, err)
		}
		if err := w.networks.Disconnect(a.Owner); err != nil {
			t.Fatal(err)
		}
		if said := connect(); said != "" {
			t.Error("it has been done:", said)
		}
		host.run(t, name, "-P", "FORWARD", "ACCEPT")
		host.run(t, name, "-F")
	}
}

// A container sends with addresses that are not its own, and gets nothing that
// is not for it.
func TestSpoofing(t *testing.T) {
	w := newWorld(t)
	w.create(Config{Name: "net", IPv6: true})
	victim, thief, friend := w.box("victim"), w.box("thief"), w.box("friend")
	ev := victim.on(Attachment{Network: "net"})
	et := thief.on(Attachment{Network: "net"})
	friend.on(Attachment{Network: "net"})
	heard := make(chan string, 100)
	friend.hear(t, heard)
	all := net.HardwareAddr{255, 255, 255, 255, 255, 255}
	mv, mt := parseMAC(t, ev.MAC), parseMAC(t, et.MAC)
	v4, t4 := ev.Addresses[0].Addr(), et.Addresses[0].Addr()
	v6, t6 := ev.Addresses[1].Addr(), et.Addresses[1].Addr()
	frames := []struct {
		what  string
		frame []byte
		comes bool
	}{
		{"its own IPv4", ip4(all, mt, t4), true},
		{"another's IPv4", ip4(all, mt, v4), false},
		{"another's MAC", ip4(all, mv, t4), false},
		{"another's IPv4 and MAC", ip4(all, mv, v4), false},
		{"its own ARP", arp(all, mt, mt, t4), true},
		{"ARP for another's IPv4", arp(all, mt, mt, v4), false},
		{"ARP for another's MAC", arp(all, mt, mv, t4), false},
		{"ARP from another's MAC", arp(all, mv, mt, t4), false},
		{"its own IPv6", ip6(all, mt, t6, 128, netip.Addr{}), true},
		{"another's IPv6", ip6(all, mt, v6, 128, netip.Addr{}), false},
		{"neighbour advertisement for itself", ip6(all, mt, t6, 136, t6), true},
		{"neighbour advertisement for another", ip6(all, mt, t6, 136, v6), false},
		{"router advertisement", ip6(all, mt, t6, 134, t6), false},
		{"redirect", ip6(all, mt, t6, 137, t6), false},
		{"a VLAN's tag", tagged(ip4(all, mt, t4)), false},
		{"neither IP nor ARP", append(append(append([]byte{}, all...), mt...), 0x88, 0xb5, 0, 0), false},
	}
	for i, f := range frames {
		mark, end := fmt.Sprintf("frame %d.", i), fmt.Sprintf("end of %d.", i)
		thief.send(t, append(f.frame, mark...))
		// What is sent last arrives last, if it comes from the same processor: so
		// nobody waits for what does not come, and for nothing else.
		thief.send(t, append(ip4(all, mt, t4), end...))
		came, ended := false, false
		for !ended || f.comes && !came {
			var text string
			select {
			case text = <-heard:
			case <-time.After(patience):
				t.Fatalf("%s: nothing comes any more: %s", f.what, netns{}.run(t, "nft", "list", "ruleset"))
			}
			ended = ended || strings.Contains(text, end)
			came = came || strings.Contains(text, mark)
		}
		if came != f.comes {
			t.Errorf("%s: comes: %v, want %v", f.what, came, f.comes)
		}
	}
}

func parseMAC(t testing.TB, s string) net.HardwareAddr {
	t.Helper()
	mac, err := net.ParseMAC(s)
	if err != nil {
		t.Fatal(err)
	}
	return mac
}

func ip4(to, from net.HardwareAddr, source netip.Addr) []byte {
	f := append(append(append([]byte{}, to...), from...), 8, 0, 0x45, 0, 0, 0, 0, 0, 0, 0, 64, 17, 0, 0)
	f = append(append(f, source.AsSlice()...), 255, 255, 255, 255)
	return pad(f, 64)
}

// measure writes the length into an IP header, and the checksum: with bridge-nf
// a bridge drops what is wrong.
func measure(f []byte) {
	switch h := f[14:]; {
	case f[12] == 8 && f[13] == 0:
		h[2], h[3], h[10], h[11] = byte(len(h)>>8), byte(len(h)), 0, 0
		sum := uint32(0)
		for i := 0; i < 20; i += 2 {
			sum += uint32(h[i])<<8 | uint32(h[i+1])
		}
		sum = sum>>16 + sum&0xffff
		h[10], h[11] = byte(^sum>>8), byte(^sum)
	case f[12] == 0x86 && f[13] == 0xdd:
		h[4], h[5] = byte((len(h)-40)>>8), byte(len(h)-40)
	}
}

func arp(to, from, sender net.HardwareAddr, source netip.Addr) []byte {
	f := append(append(append([]byte{}, to...), from...), 8, 6, 0, 1, 8, 0, 6, 4, 0, 2)
	f = append(append(f, sender...), source.AsSlice()...)
	return pad(append(append(f, to...), source.AsSlice()...), 64)
}

func ip6(to, from net.HardwareAddr, source netip.Addr, kind byte, target netip.Addr) []byte {
	f := append(append(append([]byte{}, to...), from...), 0x86, 0xdd, 0x60, 0, 0, 0, 0, 0, 58, 255)
	f = append(f, source.AsSlice()...)
	f = append(f, netip.MustParseAddr("ff02::1").AsSlice()...)
	f = append(f, kind, 0, 0, 0, 0, 0, 0, 0)
	if target.IsValid() {
		f = append(f, target.AsSlice()...)
	}
	return pad(f, 78)
}

func tagged(f []byte) []byte {
	return append(append(append([]byte{}, f[:12]...), 0x81, 0, 0, 5), f[12:]...)
}

func pad(f []byte, n int) []byte {
	return append(f, make([]byte, n-len(f))...)
}

// send sends a frame. packet(7)
func (ns netns) send(t testing.TB, frame []byte) {
	t.Helper()
	measure(frame)
	err := ns.in(func() error {
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		eth, err := net.InterfaceByName("eth0")
		if err != nil {
			return err
		}
		return unix.Sendto(fd, frame, 0, &unix.SockaddrLinklayer{Ifindex: eth.Index, Halen: 6})
	})
	if err != nil {
		t.Fatal(err)
	}
}

// hear passes on every frame that comes in.
func (b *box) hear(t testing.TB, frames chan<- string) {
	t.Helper()
	var fd int
	err := b.in(func() (err error) {
		const every = unix.ETH_P_ALL<<8&0xff00 | unix.ETH_P_ALL>>8
		fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW, every)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		t.Fatal(err)
	}
	file := os.NewFile(uintptr(fd), "packets") // which waits without a thread
	t.Cleanup(func() { file.Close() })
	go func() {
		for buf := make([]byte, 2000); ; {
			n, err := file.Read(buf)
			if err != nil {
				return
			}
			frames <- string(buf[:n])
		}
	}()
}

// A port that is published at one address of the host is at no other.
func TestPublishedAtOneAddress(t *testing.T) {
	w := newWorld(t)
	w.create(Config{Name: "net", IPv6: true})
	b := w.box("b")
	var published []ports.Port
	for host, address := range map[uint16]string{8081: hostIP, 8082: "127.0.0.1", 8083: hostIP6} {
		for _, protocol := range []string{"tcp", "udp"} {
			published = append(published, ports.Port{HostIP: netip.MustParseAddr(address), HostPort: host, Port: 80, Protocol: protocol})
		}
	}
	b.on(Attachment{Network: "net"}, published...)
	b.serve(t, 80, "b")
	host := netns{}
	for _, p := range []path{
		{"LAN to it", w.lan, at(hostIP, 8081), "b to " + lanIP},
		{"host to it", host, at(hostIP, 8081), "b"},
		{"loopback where the LAN's address is meant", host, at("127.0.0.1", 8081), ""},
		{"loopback", host, at("127.0.0.1", 8082), "b"},
		{"LAN where loopback is meant", w.lan, at(hostIP, 8082), ""},
		{"LAN to IPv6", w.lan, at(hostIP6, 8083), "b"},
		{"LAN to IPv4 where IPv6 is meant", w.lan, at(hostIP, 8083), ""},
	} {
		for _, protocol := range []string{"tcp", "udp"} {
			r := row{path: p, protocol: protocol}
			if r.try(); p.who == "" && r.got != refused || !strings.HasPrefix(r.got, p.who) {
				t.Errorf("%s, %s: %q, want %q", p.what, protocol, r.got, p.who)
			}
		}
	}
	c := w.box("c")
	_, err := w.networks.Connect(c.File, c.Owner, []Attachment{{Network: "net"}}, []ports.Port{{HostIP: netip.IPv6Loopback(), HostPort: 1, Port: 80, Protocol: "tcp"}})
	if err == nil || !strings.Contains(err.Error(), "127.0.0.1") {
		t.Error(err)
	}
}

// What is published at 127.0.0.1 is for this machine: not for a neighbour on the
// LAN that sends there, to our Ethernet address.
func TestPublishedAtLoopback(t *testing.T) {
	w := newWorld(t)
	w.prepare("0", nil)
	b := w.box("b")
	b.on(Attachment{Network: DefaultName}, ports.Port{HostIP: netip.MustParseAddr("127.0.0.1"), HostPort: 8082, Port: 80, Protocol: "udp"})
	heard := make(chan string, 100)
	b.hear(t, heard)
	up, err := netlink.LinkByName("up0")
	if err != nil {
		t.Fatal(err)
	}
	arrives := func() bool {
		frame := ip4(up.Attrs().HardwareAddr, net.HardwareAddr{2, 0, 0, 0, 0, 9}, netip.MustParseAddr(lanIP))
		copy(frame[30:], []byte{127, 0, 0, 1})
		copy(frame[34:], []byte{0x23, 0x29, 8082 >> 8, 8082 & 0xff, 0, 38, 0, 0})
		w.lan.send(t, append(frame, "from outside"...))
		for {
			select {
			case text := <-heard:
				if strings.Contains(text, "from out") {
					return true
				}
			case <-time.After(300 * time.Millisecond):
				return false
			}
		}
	}
	if arrives() {
		t.Error("a neighbour has reached what is published at 127.0.0.1")
	}
	rules := netns{}.run(t, "nft", "-a", "list", "chain", "inet", w.networks.table, "prerouting")
	_, handle, _ := strings.Cut(strings.Split(rules[strings.Index(rules, "127.0.0.0/8"):], "\n")[0], "# handle ")
	netns{}.run(t, "nft", "delete", "rule", "inet", w.networks.table, "prerouting", "handle", handle)
	if !inTime(arrives) {
		t.Error("without our rule it does not arrive either")
	}
}

// What the host has at 127.0.0.1 only, no container reaches, although its bridge
// has route_localnet. CVE-2020-8558
func TestLoopbackStays(t *testing.T) {
	w := newWorld(t)
	b := w.box("b")
	e := b.on(Attachment{Network: DefaultName})
	c, err := w.networks.Find(DefaultName)
	if err != nil {
		t.Fatal(err)
	}
	bridge, err := netlink.LinkByName(c.Bridge)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := net.ListenPacket("udp4", "127.0.0.1:9002")
	if err != nil {
		t.Fatal(err)
	}
	defer secret.Close()
	frame := ip4(bridge.Attrs().HardwareAddr, parseMAC(t, e.MAC), e.Addresses[0].Addr())
	copy(frame[30:], []byte{127, 0, 0, 1})
	copy(frame[34:], []byte{0x23, 0x29, 9002 >> 8, 9002 & 0xff, 0, 30, 0, 0}) // UDP, without a checksum
	heard := func() bool {
		b.send(t, append([]byte{}, frame...))
		_ = secret.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
		_, _, err := secret.ReadFrom(make([]byte, 100))
		return err == nil
	}
	if heard() {
		t.Error("a container has reached 127.0.0.1 of the host")
	}
	netns{}.run(t, "nft", "flush", "chain", "inet", w.networks.table, "loopback")
	if !inTime(heard) {
		t.Error("without our rule it does not arrive either")
	}
}

// A firewall that is loaded anew takes our rules with it, and the next command
// puts them back.
func TestHealed(t *testing.T) {
	w := newWorld(t)
	w.prepare("0", []string{"iptables -P FORWARD DROP"})
	w.lan.serve(t, 9000, "lan")
	b := w.box("b")
	b.on(Attachment{Network: DefaultName})
	for _, loss := range []string{"nft delete table inet " + w.networks.table, "iptables -F FORWARD"} {
		args := strings.Fields(loss)
		netns{}.run(t, args[0], args[1:]...)
		if answer, err := b.ask("tcp", at(lanIP, 9000), 300*time.Millisecond); err == nil {
			t.Errorf("after %s: %q", loss, answer)
		}
		if err := w.networks.Recover(); err != nil {
			t.Error(err)
		}
		if answer, err := b.ask("tcp", at(lanIP, 9000), patience); err != nil {
			t.Errorf("after %s and Recover: %q, %v", loss, answer, err)
		}
	}
}

// A client that never stops talking finds a container that came later, and no
// longer one that has gone.
func TestOldFlows(t *testing.T) {
	w := newWorld(t)
	published := []ports.Port{{HostPort: 8080, Port: 80, Protocol: "udp"}}
	var conn net.Conn
	if err := w.lan.in(func() (err error) { conn, err = net.Dial("udp", at(hostIP, 8080)); return err }); err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ask := func() string {
		buf := make([]byte, 100)
		_ = conn.SetDeadline(time.Now().Add(100 * time.Millisecond))
		_, _ = conn.Write([]byte("?"))
		n, _ := conn.Read(buf)
		who, _, _ := strings.Cut(string(buf[:n]), " ")
		return who
	}
	until := func(want string) {
		t.Helper()
		got := ""
		if !inTime(func() bool { got = ask(); return got == want }) {
			t.Errorf("%q answers, want %q", got, want)
		}
	}
	until("")
	for _, name := range []string{"first", "second"} {
		b := w.box(name)
		// Another address each time: the first one's stays with somebody.
		b.on(Attachment{Network: DefaultName}, published...)
		b.serve(t, 80, name)
		until(name)
		if err := w.networks.Disconnect(b.Owner); err != nil {
			t.Fatal(err)
		}
		w.box("holder-" + name).on(Attachment{Network: DefaultName})
		if name == "first" {
			until("")
		}
	}
	local, err := net.ListenPacket("udp", ":8080") // the host's own, now that it can be
	if err != nil {
		t.Fatal(err)
	}
	defer local.Close()
	go func() {
		for buf := make([]byte, 100); ; {
			_, from, err := local.ReadFrom(buf)
			if err != nil {
				return
			}
			_, _ = local.WriteTo([]byte("host x"), from)
		}
	}()
	until("host")
}
