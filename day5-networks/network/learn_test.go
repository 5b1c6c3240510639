package network

import (
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

const neighbourAdvertisement = 136

// A bridge learns from every frame, of protocols between switches, too, that a
// neighbour's Ethernet address is behind the sender's port, and then sends what is
// for the neighbour there.
func TestStolenPort(t *testing.T) {
	w := newWorld(t)
	c := w.create(Config{Name: "net"})
	victim, thief := w.box("victim"), w.box("thief")
	ev, et := victim.on(Attachment{Network: "net"}), thief.on(Attachment{Network: "net"})
	mv := parseMAC(t, ev.MAC)
	all := net.HardwareAddr{255, 255, 255, 255, 255, 255}
	behind := func() (port string) {
		for line := range strings.Lines(netns{}.run(t, "bridge", "fdb", "show", "br", c.Bridge)) {
			if words := strings.Fields(line); words[0] == ev.MAC {
				port = words[2]
			}
		}
		return port
	}
	victim.send(t, ip4(all, mv, ev.Addresses[0].Addr()))
	if !inTime(func() bool { return behind() == ev.HostInterface }) {
		t.Fatalf("the victim is behind %q, not %s", behind(), ev.HostInterface)
	}
	for group := range byte(16) {
		to := net.HardwareAddr{1, 0x80, 0xc2, 0, 0, group}
		for _, kind := range []byte{0xcc, 0x8e} { // LLDP, 802.1X
			thief.send(t, pad(append(append(append([]byte{}, to...), mv...), 0x88, kind), 64))
		}
		if port := behind(); port != ev.HostInterface {
			t.Errorf("after a frame to %s the victim is behind %s; the thief is behind %s", to, port, et.HostInterface)
		}
	}
}

// Whatever part of our tables somebody removes, the next command puts it back.
func TestHealedInPart(t *testing.T) {
	w := newWorld(t)
	w.create(Config{Name: "net", Internal: true})
	w.box("b").on(Attachment{Network: "net"})
	host := netns{}
	before := host.run(t, "nft", "list", "ruleset")
	for _, loss := range []string{
		"delete table bridge %", "flush table inet %", "flush chain bridge % guard",
		"flush set inet % internal", "flush ruleset", "list ruleset",
	} {
		host.run(t, "nft", strings.Fields(strings.ReplaceAll(loss, "%", w.networks.table))...)
		for range 2 {
			if err := w.networks.Recover(); err != nil {
				t.Fatal(err)
			}
			if after := host.run(t, "nft", "list", "ruleset"); after != before {
				t.Errorf("after nft %s there is\n%s", loss, after)
			}
		}
	}
}

// A neighbour advertisement in fragments, the address that it is about not in the
// first: the friend must not believe that the victim is where the thief is.
func TestSpoofedInFragments(t *testing.T) {
	w := newWorld(t)
	w.create(Config{Name: "net", IPv6: true})
	victim, thief, friend := w.box("victim"), w.box("thief"), w.box("friend")
	ev, et := victim.on(Attachment{Network: "net"}), thief.on(Attachment{Network: "net"})
	friend.on(Attachment{Network: "net"})
	victim.serve(t, 9000, "victim")
	v6, t6 := ev.Addresses[1].Addr(), et.Addresses[1].Addr()
	if _, err := friend.ask("tcp", at(v6.String(), 9000), patience); err != nil {
		t.Fatal(err)
	}
	all, mt := net.HardwareAddr{0x33, 0x33, 0, 0, 0, 1}, parseMAC(t, et.MAC)
	whole := ip6(all, mt, t6, neighbourAdvertisement, v6)
	message := append(slices.Clone(whole[54:78]), 2, 1) // the option that says where
	message = append(message, mt...)
	message[4] = 0x20 // override
	sum := uint32(len(message)) + 58
	for _, half := range [][]byte{whole[22:54], message} {
		for i := 0; i < len(half); i += 2 {
			sum += uint32(half[i])<<8 | uint32(half[i+1])
		}
	}
	sum = sum>>16 + sum&0xffff
	sum = sum>>16 + sum&0xffff
	message[2], message[3] = byte(^sum>>8), byte(^sum)
	where := func() string {
		return friend.run(t, "ip", "-6", "neigh", "show", v6.String())
	}
	for _, split := range []int{8, 16} {
		fragment := func(offset, more byte, text []byte) {
			f := slices.Clone(whole[:54])
			f[20] = 44
			thief.send(t, slices.Concat(f, []byte{58, 0, 0, offset | more, 0, 0, 0, byte(split)}, text))
		}
		fragment(0, 1, message[:split])
		fragment(byte(split), 0, message[split:])

		time.Sleep(50 * time.Millisecond)
		if got := where(); !strings.Contains(got, ev.MAC) {
			t.Errorf("split after %d bytes: the friend takes the victim for %s; the thief is %s", split, got, et.MAC)
		}
	}
}

// What is not worth waiting for the disk may be an empty file after a power cut.
// That is of another boot, and in nobody's way.
func TestPowerCut(t *testing.T) {
	w := newWorld(t)
	c := w.create(Config{Name: "net"})
	e := w.box("before").on(Attachment{Network: "net"})
	networks := w.networks.store.Dir
	records, err := filepath.Glob(filepath.Join(networks, c.ID, "endpoints", "*"))
	if err != nil || len(records) != 1 {
		t.Fatal(records, err)
	}
	for _, path := range []string{records[0], filepath.Join(networks, "changed.json")} {
		if err := os.Truncate(path, 0); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(networks, "lock"), []byte("of-another-boot \n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"nft flush ruleset", "ip link del " + e.HostInterface, "ip link del " + c.Bridge} {
		words := strings.Fields(line)
		netns{}.run(t, words[0], words[1:]...)
	}
	if err := os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("0"), 0); err != nil {
		t.Fatal(err)
	}
	w.box("after").on(Attachment{Network: "net"})
	if all, err := w.networks.OnRecord(c.ID); err != nil || len(all) != 1 || all[0].Name != "after" {
		t.Error(all, err)
	}
	if _, err := os.Stat(records[0]); err == nil {
		t.Error(records[0], "is still there")
	}
}
