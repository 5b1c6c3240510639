package network

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"example.com/go-docker/day5-networks/boot"
	"example.com/go-docker/day5-networks/ports"
)

// Connect looks at nobody else's record unless it must. So whatever the dead have
// left, it must find when that is in the way.

// record is the path of a box's only record.
func (b *box) record() string {
	b.w.Helper()
	found, err := filepath.Glob(filepath.Join(b.w.root, "networks", "*", "endpoints", b.ID+",*"))
	if err != nil || len(found) != 1 {
		b.w.Fatalf("the records of %s: %v, %v", b.Name, found, err)
	}
	return found[0]
}

// dies lets the box's lock go: nobody has told that it has ended.
func (b *box) dies() {
	b.lock.Close()
	b.w.Cleanup(b.live) // for Disconnect, which then finds nothing
}

// dead is a box that is on a network and has died.
func (w *world) dead(name string, a Attachment, p ...ports.Port) (*box, Endpoint) {
	w.Helper()
	b := w.box(name)
	e := b.on(a, p...)
	b.dies()
	return b, e
}

func (w *world) gone(b *box) {
	w.Helper()
	if found, _ := filepath.Glob(filepath.Join(w.root, "networks", "*", "endpoints", b.ID+",*")); len(found) > 0 {
		w.Errorf("what %s has left is still there: %v", b.Name, found)
	}
}

// Nobody else's record is opened: one that cannot be read does not matter.
func TestOthersAreNotRead(t *testing.T) {
	w := newWorld(t)
	a, b := w.box("a"), w.box("b")
	a.on(Attachment{Network: DefaultName}, both(8080, 80)...)
	path := a.record()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("[]"), 0o600); err != nil {
		t.Fatal(err)
	}
	b.on(Attachment{Network: DefaultName}, both(8081, 80)...)
	if err := w.networks.Disconnect(b.Owner); err != nil {
		t.Error(err)
	}
	if _, err := w.networks.Connect(b.File, b.Owner, []Attachment{{Network: DefaultName}}, both(8080, 80)); err == nil || !strings.Contains(err.Error(), path) {
		t.Error("the port of one whose record cannot be read:", err)
	}
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestAddressOfTheDead(t *testing.T) {
	w := newWorld(t)
	a, e := w.dead("a", Attachment{Network: DefaultName})
	b, c := w.box("b"), w.box("c")
	if got := b.on(Attachment{Network: DefaultName}); got.Addresses[0] == e.Addresses[0] {
		t.Error("two have the address", got.Addresses)
	}
	if got := c.on(Attachment{Network: DefaultName, IP: e.Addresses[0].Addr()}); got.Addresses[0] != e.Addresses[0] {
		t.Error(got.Addresses)
	}
	w.gone(a)
	if _, err := w.networks.Connect(a.File, Owner{ID: "d-id"}, []Attachment{{Network: DefaultName, IP: e.Addresses[0].Addr()}}, nil); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Error("the address of one that lives:", err)
	}
}

func TestMACOfTheDead(t *testing.T) {
	w := newWorld(t)
	const mac = "02:00:00:00:00:07"
	a, _ := w.dead("a", Attachment{Network: DefaultName, MAC: mac})
	if got := w.box("b").on(Attachment{Network: DefaultName, MAC: mac}); got.MAC != mac {
		t.Error(got.MAC)
	}
	w.gone(a)
}

// All addresses are taken, by the dead too.
func TestFullOfTheDead(t *testing.T) {
	w := newWorld(t)
	w.create(Config{Name: "small", Subnets: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/29")}})
	small := Attachment{Network: "small"}
	var dead []*box
	for i := range 5 {
		b := w.box(fmt.Sprint("b", i))
		b.on(small)
		if i%2 == 1 {
			dead = append(dead, b)
		}
	}
	x := w.box("x")
	if _, err := w.networks.Connect(x.File, x.Owner, []Attachment{small}, nil); err == nil || !strings.Contains(err.Error(), "no free address") {
		t.Error(err)
	}
	for _, b := range dead {
		b.dies()
	}
	if got := x.on(small); got.Addresses[0].String() != "10.1.0.3/29" {
		t.Error(got.Addresses)
	}
	for _, b := range dead {
		w.gone(b)
	}
}

// A port that a dead one has published at one address would go to him, and not to
// who publishes it at all of them: and nothing would tell.
func TestPortOfTheDeadAtOneAddress(t *testing.T) {
	w := newWorld(t)
	a, _ := w.dead("a", Attachment{Network: DefaultName}, ports.Port{HostIP: netip.MustParseAddr("127.0.0.1"), HostPort: 8080, Port: 80, Protocol: "tcp"})
	b := w.box("b")
	b.serve(t, 80, "b")
	b.on(Attachment{Network: DefaultName}, both(8080, 80)...)
	w.gone(a)
	if answer, err := (netns{}).ask("tcp", "127.0.0.1:8080", patience); err != nil || !strings.HasPrefix(answer, "b ") {
		t.Error(answer, err)
	}
}

// So many that not all are in its record's name.
func TestManyPortsOfTheDead(t *testing.T) {
	w := newWorld(t)
	var many []ports.Port
	for i := range 100 {
		many = append(many, ports.Port{HostPort: uint16(20000 + i), Port: 80, Protocol: "tcp"})
	}
	a, b := w.box("a"), w.box("b")
	a.on(Attachment{Network: DefaultName}, many...)
	last := []ports.Port{{HostPort: 20099, Port: 80, Protocol: "tcp"}}
	if _, err := w.networks.Connect(b.File, b.Owner, []Attachment{{Network: DefaultName}}, last); err == nil || !strings.Contains(err.Error(), "by container a") {
		t.Error(err)
	}
	a.dies()
	b.on(Attachment{Network: DefaultName}, last...)
	w.gone(a)
}

// The name does not say that it has the port: the kernel does.
func TestNameThatHidesAPort(t *testing.T) {
	w := newWorld(t)
	a, b := w.box("a"), w.box("b")
	a.on(Attachment{Network: DefaultName}, both(8080, 80)...)
	path := a.record()
	if err := os.Rename(path, strings.Replace(path, ",8080", "", 1)); err != nil {
		t.Fatal(err)
	}
	before := w.machine()
	if e, err := w.networks.Connect(b.File, b.Owner, []Attachment{{Network: DefaultName}}, both(8080, 80)); err == nil {
		t.Error("two have one port:", e)
	}
	if after := w.machine(); after != before {
		t.Errorf("the machine was\n%s\nand is\n%s", before, after)
	}
	a.dies()
	b.on(Attachment{Network: DefaultName}, both(8080, 80)...)
	w.gone(a)
}

// What is not a name of ours is not passed over.
func TestNameOfNoRecord(t *testing.T) {
	w := newWorld(t)
	c, err := w.networks.Find(DefaultName)
	if err != nil {
		t.Fatal(err)
	}
	b := w.box("b")
	for _, name := range []string{"b-id.json", "b-id,10.1.0.2-33.json", "b-id,10.1.0.2-16,8o.json", "b-id,10.1.0-16.json", "b-id,10.1.0.2-.json", "b-id,10.1.0.2-16,8080", "b-id,10.1.0.2-16,.json"} {
		path := w.networks.store.Path(c.ID, "endpoints", name)
		if err := os.WriteFile(path, []byte("{}"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := w.networks.Connect(b.File, b.Owner, []Attachment{{Network: DefaultName}}, nil); err == nil || !strings.Contains(err.Error(), path) {
			t.Error(name, err)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
}

// Who was killed while he wrote his record has made nothing.
func TestRecordCutShort(t *testing.T) {
	w := newWorld(t)
	a, e := w.dead("a", Attachment{Network: DefaultName})
	path := a.record()
	if err := w.networks.Disconnect(a.Owner); err != nil {
		t.Fatal(err)
	}
	b := w.box("b")
	for _, text := range []string{"", `{"ID":"a-`} {
		if err := os.WriteFile(strings.TrimSuffix(path, "json")+"pending", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := b.on(Attachment{Network: DefaultName}); got.Addresses[0] != e.Addresses[0] {
			t.Error(got.Addresses)
		}
		w.gone(a)
		if err := w.networks.Disconnect(b.Owner); err != nil {
			t.Fatal(err)
		}
	}
}

// What speaks of another boot has nothing in the kernel, and the same address
// may be another's by now. The lock file says which boot the last session was of;
// should it be wrong, it is found out record by record.
func TestAnotherBoot(t *testing.T) {
	w := newWorld(t)
	a, b := w.box("a"), w.box("b")
	thisBoot, err := boot.ID()
	if err != nil {
		t.Fatal(err)
	}
	var e Endpoint
	reboot := func(files ...string) {
		t.Helper()
		e = a.on(Attachment{Network: DefaultName}, both(8080, 80)...)
		dir := filepath.Join(w.root, "networks")
		keep := map[string][]byte{}
		for _, path := range append(files, a.record(), filepath.Join(dir, "changed.json")) {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			keep[path] = []byte(strings.ReplaceAll(string(text), thisBoot, "another"))
		}
		if err := w.networks.Disconnect(a.Owner); err != nil {
			t.Fatal(err)
		}
		for path, text := range keep {
			if err := os.WriteFile(path, text, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	again := func() {
		t.Helper()
		if got := b.on(Attachment{Network: DefaultName}, both(8080, 80)...); got.Addresses[0] != e.Addresses[0] {
			t.Error(got.Addresses)
		}
		w.gone(a)
		if err := w.networks.Disconnect(b.Owner); err != nil {
			t.Fatal(err)
		}
		if after := w.machine(); after != w.before {
			t.Error(after)
		}
	}
	reboot(filepath.Join(w.root, "networks", "lock"))
	again()
	reboot()
	again()
	reboot()
	if err := w.networks.Recover(); err != nil {
		t.Error(err)
	}
	w.gone(a)
	again()
}
