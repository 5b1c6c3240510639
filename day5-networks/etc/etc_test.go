package etc

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

var (
	web   = netip.MustParseAddr("172.18.0.2")
	web6  = netip.MustParseAddr("fd00:1::2")
	other = netip.MustParseAddr("172.18.0.3")
	local = netip.MustParseAddr("127.0.0.1")
)

func TestUpstreams(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	plain := file("plain", "nameserver 192.0.2.1\nnameserver fe80::1%eth0\n")
	stub := file("stub", "# by systemd\nnameserver 127.0.0.53\noptions edns0\n")
	behind := file("behind", "nameserver 192.0.2.7\nnameserver 2001:db8::7\n")
	empty := file("empty", "")
	for _, test := range []struct{ host, systemd, want string }{
		{plain, behind, "[192.0.2.1:53 [fe80::1%eth0]:53]"},
		{stub, behind, "[192.0.2.7:53 [2001:db8::7]:53]"},
		{stub, empty, "[127.0.0.53:53]"}, // we are on the host and can reach it
		{stub, filepath.Join(dir, "none"), "[127.0.0.53:53]"},
		{empty, behind, "[]"},
		{filepath.Join(dir, "none"), behind, "[]"},
	} {
		if got := fmt.Sprint(upstreams(test.host, test.systemd)); got != test.want {
			t.Errorf("%s, %s: %s, want %s", filepath.Base(test.host), filepath.Base(test.systemd), got, test.want)
		}
	}
}

func TestResolvConf(t *testing.T) {
	const host = "nameserver 192.0.2.1\nsearch corp.example\noptions timeout:1\n"
	gateway := []netip.Addr{netip.MustParseAddr("172.18.0.1")}
	for _, test := range []struct {
		ours, dns []netip.Addr
		want      string
	}{
		{want: host},
		{ours: gateway, want: "nameserver 172.18.0.1\nsearch corp.example\noptions timeout:1 ndots:0\n"},
		{ours: gateway, dns: []netip.Addr{web}, want: "nameserver 172.18.0.1\nsearch corp.example\noptions timeout:1 ndots:0\n"},
		{dns: []netip.Addr{web, web6}, want: "nameserver 172.18.0.2\nnameserver fd00:1::2\nsearch corp.example\noptions timeout:1\n"},
		{ours: []netip.Addr{web, web6, other, local}, want: "nameserver 172.18.0.2\nnameserver fd00:1::2\nnameserver 172.18.0.3\nsearch corp.example\noptions timeout:1 ndots:0\n"},
	} {
		if got := string(ResolvConf(test.ours, []byte(host), test.dns)); got != test.want {
			t.Errorf("%+v:\n%s", test, got)
		}
	}
}

func FuzzParseResolvConf(f *testing.F) {
	f.Add([]byte("nameserver 192.0.2.1\nsearch a b\noptions ndots:1\n"))
	f.Add([]byte("nameserver\t::1 # x\r\n;\ndomain"))
	f.Fuzz(func(t *testing.T, text []byte) {
		gateway := []netip.Addr{web}
		c := ParseResolvConf(ResolvConf(gateway, text, nil))
		if !slices.Equal(c.Servers, gateway) {
			t.Errorf("%q: %v", text, c)
		}
		again := ParseResolvConf(ResolvConf(nil, text, []netip.Addr{web}))
		if !slices.Equal(again.Servers, gateway) {
			t.Errorf("%q: %v", text, again)
		}
	})
}

func TestHosts(t *testing.T) {
	const local = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n"
	if got := string(Hosts(nil, []string{"box"}, "")); got != local+"127.0.1.1\tbox\n" {
		t.Error(got)
	}
	got := string(Hosts([]netip.Addr{web, web6}, []string{"box", "web"}, "192.0.2.1\tmore\n"))
	if got != local+"172.18.0.2\tbox web\nfd00:1::2\tbox web\n192.0.2.1\tmore\n" {
		t.Error(got)
	}
}
