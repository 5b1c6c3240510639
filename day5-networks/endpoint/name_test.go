package endpoint

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"example.com/go-docker/day5-networks/ports"
)

func published(numbers ...uint16) (list []ports.Port) {
	for _, n := range numbers {
		list = append(list, ports.Port{HostPort: n, Port: 80, Protocol: "tcp"}, ports.Port{HostPort: n, Port: 80, Protocol: "udp"})
	}
	return list
}

// What a record's name says is what was written.
func TestName(t *testing.T) {
	var many []uint16
	for i := range 100 {
		many = append(many, uint16(30000+i))
	}
	for _, test := range []struct {
		addresses, name string
		ports           []uint16
	}{
		{"10.1.0.2/24", "id,10.1.0.2-24.json", nil},
		{"10.1.0.2/24 fd00::2/64", "id,10.1.0.2-24,fd00::2-64,80,8080.json", []uint16{8080, 80}},
		{"10.1.0.2/24 fd00:1111:2222:3333:4444:5555:6666:7777/64", "", many},
	} {
		dir := filepath.Join(t.TempDir(), "abc", "endpoints")
		mkdir(t, dir)
		r := &Record{Endpoint: Endpoint{Owner: Owner{ID: "id", Name: "n"}, Network: "abc", Ports: published(test.ports...)}, Boot: "b"}
		for a := range strings.FieldsSeq(test.addresses) {
			r.Addresses = append(r.Addresses, netip.MustParsePrefix(a))
		}
		if err := r.Write(dir); err != nil {
			t.Fatal(err)
		}
		if err := r.SetPending(false); err != nil {
			t.Fatal(err)
		}
		all, err := List(dir)
		if err != nil || len(all) != 1 {
			t.Fatal(all, err)
		}
		got := all[0]
		if file := filepath.Base(got.path(false)); test.name != "" && file != test.name || len(file) > longestName {
			t.Errorf("%s, want %s", file, test.name)
		}
		if got.ID != "id" || got.Network != "abc" || !reflect.DeepEqual(got.Addresses, r.Addresses) || got.Pending() || got.Name != "" {
			t.Errorf("by its name: %+v", got)
		}
		for _, n := range test.ports {
			if !got.MayPublish(published(1, n)) {
				t.Errorf("%s: not %d", got.name, n)
			}
		}
		if got.MayPublish(nil) || got.MayPublish(published(1)) && len(test.ports) < 100 {
			t.Errorf("%s: port 1", got.name)
		}
		if err := got.Load(); err != nil || !reflect.DeepEqual(got.Endpoint, r.Endpoint) || got.Boot != "b" {
			t.Errorf("%+v, %v", got, err)
		}
	}
}

// An ID as long as a name may be leaves room for a plus.
func TestLongestName(t *testing.T) {
	e := &Endpoint{Owner: Owner{ID: strings.Repeat("f", 64)}, Ports: published(1, 22, 333, 4444, 55555)}
	for _, a := range []string{"255.255.255.255/32", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128"} {
		e.Addresses = append(e.Addresses, netip.MustParsePrefix(a))
	}
	for n := range 40 {
		e.Ports = append(e.Ports, published(uint16(60000+n))...)
		if text := name(e); len(text+pending) > longestName {
			t.Fatalf("%d bytes: %s", len(text+pending), text)
		}
	}
	if text := name(e); !strings.HasSuffix(text, ","+more) {
		t.Error(fmt.Sprint("not all of the ports find room: ", text))
	}
}

func mkdir(t *testing.T, dir string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
}
