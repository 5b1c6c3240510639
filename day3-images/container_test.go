package main

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"example.com/go-docker/day3-images/commit"
	"example.com/go-docker/day3-images/containers"
	"example.com/go-docker/day3-images/internal/testkit"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sys/unix"
)

const (
	testPasswd = "root:x:0:0:root:/root:/bin/sh\nweb:x:1234:1235:web:/srv/web:/bin/sh\n"
	testGroup  = "root:x:0:\nweb:x:1235:\nstaff:x:50:\nextra:x:77:web,other\n"
)

// applets are the busybox commands in the tests' images.
var applets = strings.Fields("cat chmod chown dd df echo env grep head hostname id kill ls mkdir mknod mount ps pwd readlink rm rmdir sed sh sleep sort stat test touch tr true tty umount wc")

// busyboxFiles returns a small root file system.
func busyboxFiles(t testing.TB) []testkit.Entry {
	t.Helper()
	path, err := exec.LookPath("busybox")
	need(t, err == nil, "busybox, statically linked")
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	files := []testkit.Entry{
		testkit.Dir("bin"), testkit.File("bin/busybox", string(content)).WithMode(0o755),
		testkit.Dir("etc"), testkit.File("etc/passwd", testPasswd), testkit.File("etc/group", testGroup),
		testkit.Dir("root").WithMode(0o700), testkit.Dir("tmp").WithMode(0o1777),
	}
	for _, name := range applets {
		files = append(files, testkit.Symlink("bin/"+name, "busybox"))
	}
	return files
}

// boxes makes a store for a test that runs containers, with an image called
// busybox. Files in more become a second layer, and instructions its
// configuration.
func boxes(t testing.TB, more []testkit.Entry, instructions ...string) testStore {
	t.Helper()
	kernelTest(t)
	s := emptyStore(t)
	config := func(file *v1.ConfigFile) error { return commit.Change(&file.Config, instructions) }
	img, err := commit.Image(context.Background(), s.Store, nil, testkit.WriteTar(t, busyboxFiles(t)...), config, "busybox")
	if err == nil && len(more) > 0 {
		_, err = commit.Image(context.Background(), s.Store, img, testkit.WriteTar(t, more...), config, "busybox")
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// run returns the program's run command, with its cgroups below the tests' own.
func (s testStore) run(t testing.TB, args ...string) *exec.Cmd {
	t.Helper()
	return program(t, append([]string{"--root", s.Root, "run", "--cgroup-parent", testParent}, args...)...)
}

// says runs a shell in a container from the image busybox, which must succeed
// and print exactly this.
func (s testStore) says(t testing.TB, want, script string, options ...string) {
	t.Helper()
	got := finish(t, s.run(t, append(append([]string{"--rm"}, options...), "busybox", "sh", "-c", script)...))
	if got != (outcome{0, want, ""}) {
		t.Errorf("%q %q:\ngot  %+q\nwant %q", options, script, got, want)
	}
}

// kept lists the containers that are in the store.
func (s testStore) kept(t testing.TB) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(s.Path("containers"))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestRunStatus(t *testing.T) {
	s := boxes(t, []testkit.Entry{testkit.File("bin/text", "no program").WithMode(0o755), testkit.File("bin/closed", "#!/bin/sh\n")})
	for _, test := range []struct {
		args   []string
		status int
		says   string
	}{
		{[]string{"busybox", "sh", "-c", "exit 7"}, 7, ""},
		{[]string{"busybox", "sh", "-c", "kill -9 $$"}, 137, ""},
		{[]string{"--init=false", "busybox", "sh", "-c", "exit 7"}, 7, ""},
		{[]string{"busybox", "nosuch"}, 127, "nosuch"},
		{[]string{"busybox", "/bin/closed"}, 126, "permission denied"},
		{[]string{"busybox", "/bin/text"}, 126, "exec format error"},
		{[]string{"busybox"}, 125, "name one after the image"},
		{[]string{"nosuch..name", "sh"}, 125, "invalid image name"},
		{[]string{"-u", "nosuch", "busybox", "id"}, 125, `user "nosuch" in the container`},
		{[]string{"-u", "1:nosuch", "busybox", "id"}, 125, "nosuch"},
		{[]string{"-w", "relative", "busybox", "id"}, 125, "not an absolute path"},
		{[]string{"-w", "/etc/passwd", "busybox", "id"}, 125, "not a directory"},
		{[]string{"--hostname", "a\n6.6.6.6 b", "busybox", "id"}, 125, "invalid --hostname"},
		{[]string{"--hostname", "a\tb", "busybox", "id"}, 125, "invalid --hostname"},
		{[]string{"--name", "-x", "busybox", "id"}, 125, "invalid --name"},
		{[]string{"--name", strings.Repeat("x", 65), "busybox", "id"}, 125, "it is too long"},
		{[]string{"-v", "x:/y", "busybox", "id"}, 125, "not an absolute path"},
		{[]string{"-m", "1k", "busybox", "id"}, 125, "memory"},
		{nil, 125, "run requires an image"},
	} {
		got := finish(t, s.run(t, test.args...))
		if got.status != test.status || !strings.Contains(got.stderr, test.says) {
			t.Errorf("%q: %+q, want %d and %q", test.args, got, test.status, test.says)
		}
		if lines := strings.Count(lastLines(got.stderr), "\n"); test.says != "" && lines != 1 || test.says == "" && lines != 0 {
			t.Errorf("%q: stderr %q", test.args, got.stderr)
		}
	}
	// A container that never ran is not kept.
	if kept := s.kept(t); len(kept) != 3 {
		t.Errorf("kept %q, want those that ran", kept)
	}
}

// The image's configuration applies unless the command line says otherwise.
func TestImageConfig(t *testing.T) {
	s := boxes(t, []testkit.Entry{testkit.Dir("srv"), testkit.Dir("srv/web").OwnedBy(1234, 1235)},
		`ENTRYPOINT ["/bin/sh","-c"]`, `CMD ["id -un; pwd; env | grep -v TERM | sort"]`, "ENV A=1 B=2", "WORKDIR /srv/web", "USER web")
	path := "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n"
	for _, test := range []struct {
		options, args []string
		want          string
	}{
		{nil, nil, "web\n/srv/web\nA=1\nB=2\nHOME=/srv/web\nHOSTNAME=h\n" + path + "PWD=/srv/web\nSHLVL=1\n"},
		{nil, []string{"echo $0 $1", "a", "b"}, "a b\n"},
		{[]string{"-u", "0", "-w", "/", "-e", "B=3", "-e", "C=4 5"}, []string{"id -un; pwd; echo $A $B $C $HOME"}, "root\n/\n1 3 4 5 /root\n"},
		{[]string{"--entrypoint", "/bin/echo"}, nil, "\n"}, // the image's CMD was for its own
		{[]string{"--entrypoint", "/bin/echo"}, []string{"-n", "x"}, "x"},
		{[]string{"--entrypoint", ""}, []string{"echo", "y"}, "y\n"},
		{[]string{"-w", "/made/for it"}, []string{"pwd"}, "/made/for it\n"},
		{[]string{"-w", "/missing/../etc/passwd/../x/./"}, []string{"pwd; test -e /missing || echo not made"}, "/etc/x\nnot made\n"},
		{[]string{"-u", "web"}, []string{"id"}, "uid=1234(web) gid=1235(web) groups=77(extra),1235(web)\n"},
		{[]string{"-u", "web:staff"}, []string{"id"}, "uid=1234(web) gid=50(staff) groups=50(staff)\n"},
		{[]string{"-u", "4321"}, []string{"id; echo $HOME"}, "uid=4321 gid=0(root) groups=0(root)\n/\n"},
		{[]string{"-u", "4321:77"}, []string{"id"}, "uid=4321 gid=77(extra) groups=77(extra)\n"},
		{[]string{"-u", "web", "--init=false"}, []string{"id -u; id -g; echo $$"}, "1234\n1235\n1\n"},
	} {
		args := append([]string{"--rm", "--hostname", "h"}, test.options...)
		got := finish(t, s.run(t, append(append(args, "busybox"), test.args...)...))
		if got != (outcome{0, test.want, ""}) {
			t.Errorf("%q %q:\ngot  %+q\nwant %q", test.options, test.args, got, test.want)
		}
	}
}

func TestNames(t *testing.T) {
	s := boxes(t, nil)
	finish(t, s.run(t, "--name", "one", "busybox", "sh", "-c", "echo new >/new")).want(t, "")
	refuses(t, s.run(t, "--name", "one", "busybox", "true"), 125, `the name "one" is in use by container`)
	refuses(t, s.run(t, "-name", "one", "busybox", "true"), 125, "is in use") // spelling of the original articles
	kept := s.kept(t)
	if len(kept) != 1 {
		t.Fatalf("kept %q", kept)
	}
	// An image that a container needs stays.
	refused(t, s, "is in use by container "+kept[0], "rmi", "busybox")

	refused(t, s, "there is "+kept[0]+" one", "rm", "two")
	running := launch(t, s.run(t, "--name", "two", "busybox", "sh", "-c", "echo runs; sleep 1000"))
	running.says("runs")
	refused(t, s, "it is running", "rm", "two")
	two, err := containers.Find(s.Store, "two")
	if err != nil {
		t.Fatal(err)
	}
	if got := ok(t, s, "stats", "--format", "json", two.ID[:8]); strings.Count(got, two.ID) != 1 {
		t.Errorf("stats: %q", got)
	}
	refused(t, s, "no such container", "stats", kept[0])
	running.signal(syscall.SIGKILL)
	<-running.ended
	noProcesses(t)
	if got, want := ok(t, s, "rm", "one", two.ID[:8]), "one\n"+two.ID[:8]+"\n"; got != want {
		t.Errorf("rm printed %q, want %q", got, want)
	}
	if kept := s.kept(t); len(kept) != 0 {
		t.Errorf("kept %q", kept)
	}
	finish(t, s.run(t, "--rm", "busybox", "true")) // removes the killed one's cgroups
	ok(t, s, "rmi", "busybox")
}

// --rm applies even to a container whose parent was killed: the next run
// removes it. Others stay, and so do running ones.
func TestRemoved(t *testing.T) {
	s := boxes(t, nil)
	s.says(t, "", "echo x >/x")
	if kept := s.kept(t); len(kept) != 0 {
		t.Errorf("--rm has left %q", kept)
	}
	stays := launch(t, s.run(t, "--name", "stays", "--rm", "busybox", "sh", "-c", "echo runs; sleep 1000"))
	stays.says("runs")
	for _, options := range [][]string{{"--rm"}, {"--name", "kept"}} {
		killed := launch(t, onStore(s, slices.Concat([]string{"run", "--cgroup-parent", testParent}, options, []string{"busybox", "sh", "-c", "echo runs; sleep 1000"})...))
		killed.says("runs")
		killed.signal(syscall.SIGKILL)
		<-killed.ended
	}
	// Making one container was cut short, and after making another came a power
	// cut.
	for _, name := range []string{"half-made", "empty"} {
		if err := os.MkdirAll(s.Path("containers", name, "upper"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(s.Path("containers", "empty", "container.json"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	poll(t, "only one to be kept and one that runs", func() bool { // the killed ones may need a moment
		got := finish(t, onStore(s, "run", "--rm", "--cgroup-parent", testParent, "busybox", "true"))
		if got.status != 0 {
			t.Fatalf("%+q", got)
		}
		return len(s.kept(t)) == 2
	})
	for _, name := range []string{"kept", "stays"} {
		if _, err := containers.Find(s.Store, name); err != nil {
			t.Error(err)
		}
	}
	stays.signal(syscall.SIGTERM)
	stays.cmd.Process.Kill() // unless it has ended by then
	<-stays.ended
	noProcesses(t)
	ok(t, s, "rm", "kept")
	finish(t, s.run(t, "--rm", "busybox", "true")) // removes the killed ones' cgroups
}

// What a killed command has left and nobody can remove does not stop the next
// one, which says so. Here it is a mount point; it might be a tree that is
// deeper than a process may have descriptors.
func TestCannotBeRemoved(t *testing.T) {
	s := boxes(t, nil)
	busy := s.Path("containers", "half-made", "upper")
	if err := os.MkdirAll(busy, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("busy", busy, "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	defer unix.Unmount(busy, unix.MNT_DETACH)
	got := finish(t, s.run(t, "--rm", "busybox", "echo", "runs"))
	if got.status != 0 || got.stdout != "runs\n" || !strings.Contains(got.stderr, "half-made") {
		t.Errorf("%+q", got)
	}
	if err := unix.Unmount(busy, 0); err != nil {
		t.Fatal(err)
	}
	s.says(t, "runs\n", "echo runs")
	if kept := s.kept(t); len(kept) != 0 {
		t.Errorf("kept %q", kept)
	}
}

// If a description cannot be read, the user must decide what to do.
func TestDamagedDescription(t *testing.T) {
	s := boxes(t, nil)
	finish(t, s.run(t, "--name", "one", "busybox", "true")).want(t, "")
	path := filepath.Join(s.Path("containers"), s.kept(t)[0], "container.json")
	text := readFile(t, path)
	if err := os.WriteFile(path, []byte(text[:len(text)/2]), 0o600); err != nil {
		t.Fatal(err)
	}
	refuses(t, s.run(t, "busybox", "true"), 125, path)
	refused(t, s, path, "rmi", "busybox")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil || !json.Valid([]byte(text)) {
		t.Fatal(err)
	}
	ok(t, s, "rm", "one")
}

// Most containers have no name, so nothing may be taken for it: rm "$ID" with an
// empty ID must not remove one of them.
func TestNameless(t *testing.T) {
	s := boxes(t, nil)
	finish(t, s.run(t, "busybox", "true")).want(t, "")
	refused(t, s, `no such container: ""`, "rm", "")
	if kept := s.kept(t); len(kept) != 1 {
		t.Errorf("kept %q", kept)
	}
}

// Two containers from one image share its layers and nothing else.
func TestContainersAreApart(t *testing.T) {
	s := boxes(t, nil)
	first := launch(t, s.run(t, "--rm", "busybox", "sh", "-c", "echo 1 >/mine; echo changed >/etc/group; rm /bin/wc; echo done; sleep 1000"))
	first.says("done")
	got := finish(t, onStore(s, "run", "--rm", "--cgroup-parent", testParent, "busybox", "sh", "-c", "ls /mine; grep -c . /etc/group; ls /bin/wc"))
	if want := (outcome{0, "4\n/bin/wc\n", "ls: /mine: No such file or directory\n"}); got != want {
		t.Errorf("got %+q", got)
	}
	first.signal(syscall.SIGTERM)
	first.cmd.Process.Kill() // unless it has ended by then
	<-first.ended
	noProcesses(t)
	finish(t, s.run(t, "--rm", "busybox", "true")) // removes the killed one's cgroups
	sound(t, s)
}

// What we put into /etc is for every user in the container, even if our own
// umask keeps new files from others.
func TestUmask(t *testing.T) {
	s := boxes(t, nil, "VOLUME /volume/here")
	script := "grep -c localhost /etc/hosts; stat -c %a /etc /etc/hostname /volume/here .; umask"
	run := s.run(t, "--rm", "--user", "1000", "--workdir", "/made/here", "busybox", "sh", "-c", script)
	if got := finish(t, throughShell(run, `umask 077; exec "$@"`)); got != (outcome{0, "2\n755\n644\n755\n755\n0022\n", ""}) {
		t.Errorf("got %+q", got)
	}
}

// A user who is not root gets one line, and nothing is made.
func TestNotRoot(t *testing.T) {
	s := boxes(t, nil)
	before := contents(t, s)
	for _, args := range [][]string{{"images"}, {"run", "busybox", "true"}, {"pull", "busybox"}, {"import", "/etc", "x"}, {"load", "-i", "/dev/null"}, {"commit", "x"}, {"rmi", "busybox"}, {}} {
		cmd := program(t, append([]string{"--root", s.Root}, args...)...)
		cmd.Dir = "/"
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		refuses(t, cmd, 125, "run as root")
	}
	if after := contents(t, s); !slices.Equal(before, after) {
		t.Errorf("%q", after)
	}
}
