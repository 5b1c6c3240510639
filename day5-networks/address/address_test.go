package address

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

var pfx = netip.MustParsePrefix

func TestNextNeverTheEndsNorOneInUse(t *testing.T) {
	subnet := pfx("10.0.0.0/29")
	used := map[netip.Addr]bool{Gateway(subnet): true}
	var got []string
	for {
		a, err := Next(subnet, subnet, func(a netip.Addr) bool { return used[a] })
		if err != nil {
			if !errors.Is(err, ErrFull) || !strings.Contains(err.Error(), "10.0.0.0/29") {
				t.Error(err)
			}
			break
		}
		used[a] = true
		got = append(got, a.String())
	}
	if want := "10.0.0.2 10.0.0.3 10.0.0.4 10.0.0.5 10.0.0.6"; strings.Join(got, " ") != want {
		t.Errorf("got %v, want %s", got, want)
	}
	a, err := Next(subnet, pfx("10.0.0.6/31"), func(netip.Addr) bool { return false })
	if err != nil || a != netip.MustParseAddr("10.0.0.6") {
		t.Error(a, err)
	}
	if a, err := Next(subnet, pfx("10.0.0.7/32"), func(netip.Addr) bool { return false }); err == nil {
		t.Error("the broadcast address was given away:", a)
	}
	last := pfx("255.255.255.248/29")
	if a, err := Next(last, last, func(a netip.Addr) bool { return a != netip.MustParseAddr("255.255.255.254") }); err != nil {
		t.Error(a, err)
	}
	top := pfx("ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffc/126") // the search ends at the last address of all
	if a, err := Next(top, top, func(netip.Addr) bool { return true }); !errors.Is(err, ErrFull) {
		t.Error(a, err)
	}
}

func TestFreeOverlapsNothing(t *testing.T) {
	taken := []netip.Prefix{pfx("0.0.0.0/0"), pfx("0.0.0.0/1"), pfx("128.0.0.0/1")}
	var all []netip.Prefix
	for range 50 {
		p, err := Free(taken)
		if err != nil {
			t.Fatal(err)
		}
		if CheckSubnet(p) != nil || !p.Addr().IsPrivate() {
			t.Error(p)
		}
		for _, other := range all {
			if other.Overlaps(p) {
				t.Errorf("%s overlaps %s", p, other)
			}
		}
		taken, all = append(taken, p), append(all, p)
	}
	if !slices.Contains(all, pfx("172.31.0.0/16")) || !slices.Contains(all, pfx("192.168.240.0/20")) || !slices.Contains(all, pfx("10.0.19.0/24")) {
		t.Error(all)
	}
	if p, err := Free([]netip.Prefix{pfx("172.16.0.0/12"), pfx("192.168.9.0/24"), pfx("10.0.0.0/8")}); err != nil || p != pfx("192.168.16.0/20") {
		t.Error(p, err)
	}
	if p, err := Free([]netip.Prefix{pfx("172.16.0.0/12"), pfx("192.168.0.0/16"), pfx("10.0.0.0/8")}); err == nil || !strings.Contains(err.Error(), "--subnet") {
		t.Error(p, err)
	}
}

func TestChecks(t *testing.T) {
	for _, s := range []string{"10.0.0.0/30", "172.20.0.0/16", "fd00::/64", "10.0.0.0/8"} {
		if err := CheckSubnet(pfx(s)); err != nil {
			t.Error(err)
		}
	}
	for _, s := range []string{"10.0.0.0/31", "10.0.0.1/24", "127.0.0.0/8", "224.0.0.0/24", "169.254.0.0/16", "0.0.0.0/8", "fe80::/64", "fd00::/127", "126.0.0.0/7", "128.0.0.0/1", "255.255.255.0/24", "::ffff:10.0.0.0/120", "fe00::/7"} {
		if CheckSubnet(pfx(s)) == nil {
			t.Error("accepted", s)
		}
	}
	subnet := pfx("10.0.0.0/24")
	for _, s := range []string{"10.0.0.0", "10.0.0.255", "10.0.1.1", "fd00::1"} {
		if CheckHost(subnet, netip.MustParseAddr(s)) == nil {
			t.Error("accepted", s)
		}
	}
	for _, s := range []string{"10.0.0.0/16", "10.0.1.0/25"} {
		if CheckRange(subnet, pfx(s)) == nil {
			t.Error("accepted", s)
		}
	}
	if p, err := ParsePrefix("subnet", "10.1.2.3/24"); err == nil || !strings.Contains(err.Error(), "10.1.2.0/24") {
		t.Error(p, err)
	}
	for _, s := range []string{"", "10.0.0", "::ffff:10.0.0.1", "fe80::1%eth0"} {
		if a, err := ParseAddr("ip", s); err == nil {
			t.Error("accepted", a)
		}
	}
	if got := Last(pfx("fd00::/64")).String(); got != "fd00::ffff:ffff:ffff:ffff" {
		t.Error(got)
	}
	if p := ULA(); p.Bits() != 64 || p == ULA() || !p.Addr().IsPrivate() || CheckSubnet(p) != nil {
		t.Error(p)
	}
}

func FuzzNext(f *testing.F) {
	f.Add([]byte{10, 0, 0, 0}, 29, byte(3))
	f.Add([]byte{255, 255, 255, 255}, 30, byte(255))
	f.Fuzz(func(t *testing.T, b []byte, bits int, mask byte) {
		a, ok := netip.AddrFromSlice(b)
		if !ok || bits < a.BitLen()-8 {
			return
		}
		subnet, err := a.Prefix(bits)
		if err != nil || CheckSubnet(subnet) != nil {
			return
		}
		got, err := Next(subnet, subnet, func(a netip.Addr) bool { return a.AsSlice()[len(b)-1]&mask != 0 })
		if err == nil && (CheckHost(subnet, got) != nil || got.AsSlice()[len(b)-1]&mask != 0) {
			t.Errorf("%s of %s", got, subnet)
		}
	})
}
