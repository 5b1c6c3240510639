package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"example.com/go-docker/day3-images/internal/testkit"
)

func TestVolumes(t *testing.T) {
	s, dir := boxes(t, nil), t.TempDir()
	if err := os.WriteFile(dir+"/file", []byte("of the host\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	s.says(t, "of the host\n", "cat /data/file; echo 1 >/data/new; mkdir /data/sub", "-v", dir+":/data")
	if text := readFile(t, dir+"/new"); text != "1" {
		t.Errorf("%q", text)
	}
	s.says(t, "of the host\n", "cat /etc/some/file; echo changed >/etc/some/file", "--volume", dir+"/file:/etc/some/file")
	if text := readFile(t, dir+"/file"); text != "changed" {
		t.Errorf("%q", text)
	}
	for _, script := range []string{"echo 2 >/data/new", "touch /data/x", "rmdir /data/sub"} {
		got := finish(t, s.run(t, "--rm", "-v", dir+":/data:ro", "busybox", "sh", "-c", script))
		if got.status == 0 || !strings.Contains(got.stderr, "Read-only") {
			t.Errorf("%s: %+q", script, got)
		}
	}
	// Docker makes a missing source. So do we, but we say so.
	got := finish(t, s.run(t, "--rm", "-v", dir+"/made/here:/data", "busybox", "touch", "/data/x"))
	if _, err := os.Stat(dir + "/made/here/x"); got.status != 0 || err != nil || got.stderr != "info: making "+dir+"/made/here for a volume\n" {
		t.Errorf("%+q, %v", got, err)
	}
	// One on top of the other, in whatever order they are given, and a
	// read-only root below.
	below, above := dir+":/data", dir+"/sub:/data/in"
	s.says(t, "", "touch /data/x /data/in/y", "--read-only", "-v", below, "-v", above)
	s.says(t, "", "touch /data/in/z", "-v", above, "-v", below)
	for _, name := range []string{"y", "z"} {
		if _, err := os.Stat(dir + "/sub/" + name); err != nil {
			t.Error(err)
		}
	}
	// Files in a volume are not part of the container.
	finish(t, s.run(t, "--name", "box", "-v", dir+":/data", "busybox", "touch", "/own")).want(t, "")
	ok(t, s, "commit", "box", "changed")
	img, err := s.Resolve("changed")
	if err != nil {
		t.Fatal(err)
	}
	if layer := tarTypes(t, s, img.Manifest.Layers[1]); layer["own"] == 0 || layer["data/file"] != 0 || layer["etc"] != 0 {
		t.Errorf("%q", layer)
	}
}

// An image's volume starts with what the image has there, is new for each
// container, and is not part of a commit.
func TestImageVolumes(t *testing.T) {
	s := boxes(t, []testkit.Entry{testkit.Dir("data").OwnedBy(1234, 1235).WithMode(0o770), testkit.File("data/seed", "seed\n")}, "VOLUME /data /new/one")
	for range 2 {
		s.says(t, "seed\n1234:1235 770\n", "cat /data/*; stat -c '%u:%g %a' /data; echo x >/data/x; echo y >/new/one/y; rm /data/seed")
	}
	finish(t, s.run(t, "--name", "box", "busybox", "sh", "-c", "echo x >/data/x; rm /data/seed; echo own >/own")).want(t, "")
	ok(t, s, "commit", "box", "changed")
	if got := finish(t, s.run(t, "--rm", "changed", "sh", "-c", "cat /own /data/*")); got != (outcome{0, "own\nseed\n", ""}) {
		t.Errorf("%+q", got)
	}
	// -v covers it.
	dir := t.TempDir()
	s.says(t, "", "ls -A /data", "-v", dir+":/data")
	// One on top of the other: the upper one is visible.
	nested := boxes(t, []testkit.Entry{testkit.Dir("a/b"), testkit.File("a/b/seed", "seed\n")}, "VOLUME /a/b /a /a/b/c")
	for range 5 { // the image's volumes have no order
		nested.says(t, "seed\n3\n", "cat /a/b/seed; stat -c %d /a /a/b /a/b/c | sort -u | wc -l")
	}
}

// An image's volume in /proc or /sys has what the image itself has there.
//
// Naive code: an overlay of the place itself, which for /sys has no masks.
func TestImageVolumesOfTheKernel(t *testing.T) {
	s := boxes(t, []testkit.Entry{testkit.Dir("sys"), testkit.File("sys/of-the-image", ""), testkit.Dir("dev"), testkit.Dir("dev/shm").WithMode(0o700)},
		"VOLUME /sys /sys/fs/cgroup /dev/shm /dev/pts /proc")
	s.says(t, "fs of-the-image 700\n", "touch /sys/fs/cgroup/x /dev/shm/x /proc/x; echo $(ls -A /sys /dev/pts | grep -v : | grep .) $(stat -c %a /dev/shm)")
	s = boxes(t, []testkit.Entry{testkit.Symlink("firmware", "/sys/firmware"), testkit.Symlink("all", "sys/.")}, "VOLUME /firmware /all/devices/virtual")
	s.says(t, "", "ls -A /sys/firmware /sys/devices/virtual | grep -v : | grep . || true")
}

// Nothing is mounted on the root itself, where a link may lead: the container
// would run below the mount and reach it only as /..
func TestVolumeOnRoot(t *testing.T) {
	dir := t.TempDir()
	links := []testkit.Entry{testkit.Dir("usr"), testkit.Symlink("usr/up", ".."), testkit.Symlink("top", "/"), testkit.Symlink("twice", "usr/up")}
	s := boxes(t, links)
	for _, target := range []string{"/top", "/usr/up", "/twice/"} {
		refuses(t, s.run(t, "--rm", "-v", dir+":"+target, "busybox", "true"), 125, "volume "+dir, "the container's root")
	}
	s.says(t, "", "ls -A /data", "-v", dir+":/top/data") // this is just /data
	for _, target := range []string{"/", "/top", "/usr/.."} {
		image := boxes(t, links, "VOLUME "+target)
		refuses(t, image.run(t, "--rm", "busybox", "true"), 125, "the image's volume "+target, "the container's root")
	}
}

// Links in the image, and links made while the container starts, do not lead a
// volume out of the container (CVE-2018-15664, CVE-2021-30465).
func TestVolumeThroughLinks(t *testing.T) {
	outside, inside, shared := t.TempDir(), t.TempDir(), t.TempDir()
	if err := os.WriteFile(inside+"/secret", []byte("of the volume\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	s := boxes(t, []testkit.Entry{testkit.Symlink("link", outside), testkit.Symlink("up", "../../../../../../.."+outside), testkit.Symlink("proc-link", "/proc/self/root/"+outside)})
	s.says(t, "of the volume\n", "cat /link/x/secret", "-v", inside+":/link/x")
	s.says(t, "of the volume\n", "cat /up/secret", "-v", inside+":/up")
	got := finish(t, s.run(t, "--rm", "-v", inside+":/proc-link/x", "busybox", "true"))
	if got.status != 125 {
		t.Errorf("through /proc: %+q", got)
	}

	if err := os.Mkdir(shared+"/x", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, shared+"/y"); err != nil {
		t.Fatal(err)
	}
	racer := exec.Command("/proc/self/exe", "payload", "exchange", shared+"/x", shared+"/y")
	if err := racer.Start(); err != nil {
		t.Fatal(err)
	}
	// Naive code: mount(2) on filepath.Join(root, target), or SecureJoin before
	// it, which checks but does not lock.
	started, tries := 0, 40
	if longForm() {
		tries = 2000
	}
	for range tries {
		got := finish(t, onStore(s, "run", "--rm", "--cgroup-parent", testParent, "-v", shared+":/v", "-v", inside+":/v/x/deep", "busybox", "true"))
		if got.status == 0 {
			started++
		}
	}
	racer.Process.Kill()
	racer.Wait()
	if started == 0 {
		t.Error("no container has started")
	}
	if entries, err := os.ReadDir(outside); err != nil || len(entries) > 0 {
		t.Errorf("outside: %v, %v", entries, err)
	}
	if names, err := filepath.Glob(inside + "/*"); err != nil || len(names) != 1 {
		t.Errorf("%q, %v", names, err)
	}
}
