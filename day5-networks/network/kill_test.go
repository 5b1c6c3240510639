package network

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A child of the tests does one thing to a store, and kills itself at a point if
// it comes there often enough. Its container's namespace is descriptor 3.
func runChild(what string) int {
	root, point, times := os.Getenv("ROOT"), os.Getenv("POINT"), 1
	if name, n, ok := strings.Cut(point, "#"); ok {
		point = name
		times, _ = strconv.Atoi(n)
	}
	fault = func(at string) {
		if at == point {
			if times--; times == 0 {
				_ = unix.Kill(os.Getpid(), unix.SIGKILL)
				select {}
			}
		}
	}
	n, err := Open(root)
	if err == nil {
		o := Owner{ID: "a-id", Name: "a", Lock: os.Getenv("LOCK")}
		switch what {
		case "connect":
			_, err = n.Connect(os.NewFile(3, "netns"), o, []Attachment{{Network: DefaultName}, {Network: "six"}}, both(8080, 80))
		case "disconnect":
			err = n.Disconnect(o)
		case "remove":
			err = n.Remove("six")
		case "recover":
			err = n.Recover()
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// child runs one, and tells whether it was killed.
func (w *world) child(what, point string, b *box, after time.Duration) bool {
	w.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), "GO_DOCKER_TEST_CHILD="+what, "ROOT="+w.root, "POINT="+point, "LOCK="+b.Lock)
	cmd.ExtraFiles = []*os.File{b.File}
	var out strings.Builder
	cmd.Stderr = &out
	if err := cmd.Start(); err != nil {
		w.Fatal(err)
	}
	if after > 0 {
		time.AfterFunc(after, func() { _ = cmd.Process.Kill() })
	}
	err := cmd.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signaled() {
		return true
	}
	if err != nil {
		w.Fatalf("%s: %v: %s", what, err, out.String())
	}
	return false
}

// clean fails the test unless nothing is left, within the time that the kernel
// takes for links that a killed process was removing.
func (w *world) clean(what string) {
	w.Helper()
	var after string
	if inTime(func() bool { after = w.machine(); return after == w.before }) {
		return
	}
	w.Fatalf("%s: the machine was\n%s\nand is\n%s", what, w.before, after)
}

// Killed at any point, with the owner dead or alive, nothing is left that the
// next command does not find.
func TestKilled(t *testing.T) {
	w := newWorld(t)
	w.prepare("1", machines[2].setup)
	w.create(Config{Name: "six", IPv6: true})
	b := w.box("a")
	points := []string{
		"connect recorded#1", "connect recorded#2", "connect changed.json#1", "connect changed.json#2", "connect changed.json#3",
		"connect forwarding", "connect rules", "connect bridge#1", "connect links#1", "connect bridge#2", "connect links#2", "connect addresses#1", "connect addresses#2", "connect ready",
		"disconnect leaving", "disconnect rules", "disconnect rules removed", "disconnect changed.json#1", "disconnect undone",
		"disconnect unlinked", "disconnect forgotten#1", "disconnect forgotten#2",
		"recover leaving", "recover rules removed", "recover unlinked", "recover forgotten#1",
	}
	for _, p := range points {
		what, point, _ := strings.Cut(p, " ")
		if what == "disconnect" || what == "recover" {
			w.child("connect", "", b, 0)
		}
		alive := what != "recover" && !strings.Contains(point, "ready")
		if !alive {
			b.lock.Close()
		}
		if !w.child(what, point, b, 0) {
			t.Errorf("%s: nobody came there", p)
		}
		if err := w.networks.Recover(); err != nil {
			t.Errorf("%s: %v", p, err)
		}
		w.clean(p)
		if !alive {
			b.live()
		}
	}
	c, err := w.networks.Find("six")
	if err != nil {
		t.Fatal(err)
	}
	if !w.child("remove", "network.json", b, 0) {
		t.Error("network rm was not killed")
	}
	if err := w.networks.Recover(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(w.networks.store.Path(c.ID)); err == nil {
		t.Error("a removed network's directory is left")
	}
}

// Killed at no point that we have thought of.
func TestKilledAtAnyTime(t *testing.T) {
	w := newWorld(t)
	w.prepare("1", machines[2].setup)
	w.create(Config{Name: "six", IPv6: true})
	b := w.box("a")
	times, killed := 30, 0
	if testing.Short() {
		times = 10
	}
	for i := range times {
		what := "connect"
		if i%2 == 1 {
			w.child("connect", "", b, 0)
			what = "disconnect"
		}
		after := time.Duration(rand.IntN(40)+1) * time.Millisecond
		if w.child(what, "", b, after) {
			killed++
		}
		b.lock.Close()
		if err := w.networks.Recover(); err != nil {
			t.Error(err)
		}
		w.clean(fmt.Sprint(what, " killed after ", after))
		b.live()
	}
	t.Logf("%d of %d were killed", killed, times)
}
