package main

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"example.com/go-docker/day3-images/container"
	"example.com/go-docker/day3-images/internal/testkit"
	"golang.org/x/sys/unix"
)

// Escapes from containers that real runtimes allowed. Each test says which code
// fails it. Others are tested with their subject: mounts that leak (kernelTest
// compares the mounts of a shared tree), mount points that lead elsewhere
// (TestHostileRoots), mount points that are exchanged while the container
// starts (TestVolumeThroughLinks), a container that outlives its parent
// (TestKilledAtEveryStep), names in layers (TestUnpackHostile).

// CVE-2019-5736: a container opened /proc/1/exe, which was runc before it
// became the command, waited until nobody was running it, and wrote to it. Here
// the container looks for the program through such links, even gets its file as
// a volume, and keeps trying as long as it lives, even while it is asked to
// end.
//
// Naive code: an init with the same capabilities as the command, which may then
// look at /proc/1/exe (init.go without DropCapabilities), or a parent that ends
// before its container, so that at some point nobody is running the file. That
// leaves only the kernel's refusal to write to a running program, ETXTBSY,
// which Linux 6.11 and early versions of 6.12 lacked. runc runs from a sealed
// copy of itself.
func TestProgramIsNotOverwritten(t *testing.T) {
	s := boxes(t, nil)
	copied := filepath.Join(t.TempDir(), "go-docker")
	self, err := os.ReadFile("/proc/self/exe")
	if err == nil {
		err = os.WriteFile(copied, self, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	const attack = `
		for exe in /proc/1/exe /proc/$$/root/proc/1/exe; do
			(exec 9<$exe) 2>/dev/null && echo read $exe
			(exec 9>>$exe) 2>/dev/null && echo written $exe
		done
		(exec 9>>/program) 2>/dev/null && echo written /program
		trap exit TERM
		echo ready
		while :; do (echo x >>/program) 2>/dev/null && echo written later; done`
	// Not with SIGKILL: when a process dies, the kernel first releases its
	// program's file and then sends death signals (do_exit: exit_mm,
	// exit_notify), so a file that is mounted writable, as here, can be written
	// in between.
	for _, test := range []struct{ init, said string }{
		{"--init=true", "ready\n"},
		// The command is PID 1 itself, and /proc/1/exe is its shell.
		{"--init=false", "read /proc/1/exe\nread /proc/1/root/proc/1/exe\nready\n"},
	} {
		cmd := s.run(t, "--rm", test.init, "-v", copied+":/program", "busybox", "sh", "-c", attack)
		cmd.Path = copied // the tests themselves run the other file
		c := launch(t, cmd)
		c.says("ready\n")
		if _, err := os.OpenFile(copied, os.O_WRONLY, 0); !errors.Is(err, unix.ETXTBSY) {
			t.Errorf("%+v: even outside, and as root: %v, want ETXTBSY", test, err)
		}
		c.signal(syscall.SIGTERM)
		if got := c.wait(); got.stdout != test.said {
			t.Errorf("%+v: %q", test, got.stdout)
		}
		noProcesses(t)
		if now, err := os.ReadFile(copied); err != nil || sha256.Sum256(now) != sha256.Sum256(self) {
			t.Fatalf("%+v: the program has been changed: %v", test, err)
		}
	}
}

// CVE-2024-21626: a directory of the host, still open in the runtime, was the
// image's working directory by the name /proc/self/fd/7.
//
// Naive code: a start without hideDescriptors. There are two more defences
// behind it, so the test fails only if these are gone, too: ensureWorkdir does
// not follow magic links, and EnterWorkdir checks where it is.
func TestDescriptorsOfTheHost(t *testing.T) {
	numbers := []int{3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 50, 100}
	if longForm() {
		numbers = nil
		for n := 3; n <= 100; n++ {
			numbers = append(numbers, n)
		}
	}
	s := boxes(t, nil)
	host, err := os.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer host.Close()
	leaking := func(cmd *exec.Cmd) *exec.Cmd {
		for range 98 {
			cmd.ExtraFiles = append(cmd.ExtraFiles, host)
		}
		return cmd
	}
	for _, init := range []string{"--init=true", "--init=false"} {
		// The shell reads the directory through 3.
		finish(t, leaking(s.run(t, "--rm", init, "busybox", "sh", "-c", "cd /proc/self/fd; echo *"))).want(t, "0 1 2 3\n")
	}
	for _, n := range numbers {
		for _, process := range []string{"self", "1", "thread-self"} {
			dir := fmt.Sprintf("/proc/%s/fd/%d", process, n)
			if n > 12 && process != "self" {
				continue
			}
			got := finish(t, leaking(s.run(t, "--rm", "-w", dir, "busybox", "pwd")))
			if got.status != container.RuntimeError || got.stdout != "" {
				t.Errorf("%s: %+q", dir, got)
			}
		}
	}
	// .. is resolved before anybody looks.
	finish(t, leaking(s.run(t, "--rm", "-w", "/proc/self/fd/7/../../..", "busybox", "pwd"))).want(t, "/proc\n")
	// The image says it.
	image := boxes(t, nil, "WORKDIR /proc/self/fd/7")
	if got := finish(t, leaking(image.run(t, "--rm", "busybox", "pwd"))); got.status != container.RuntimeError || got.stdout != "" {
		t.Errorf("the image's: %+q", got)
	}
}

// CVE-2025-31133, -52565, -52881: the image's /dev/null, /dev/console or
// /dev/pts was a link to core_pattern. The runtime bind-mounted it over what it
// meant to mask, or wrote to it what was meant for a file in /proc.
//
// Naive code: a bind mount of /dev/null by its path in the image (MaskPaths
// with tree.Open("/dev/null")), or the image's own /dev (no mountDev).
func TestMaskIsTheHosts(t *testing.T) {
	const pattern = "/proc/sys/kernel/core_pattern"
	before := readFile(t, pattern)
	var links []testkit.Entry
	for _, name := range []string{"null", "console", "pts", "zero", "tty", "ptmx", "shm", "mqueue", "fd"} {
		links = append(links, testkit.Symlink("dev/"+name, pattern))
	}
	s := boxes(t, append([]testkit.Entry{testkit.Dir("dev")}, links...))
	for _, path := range maskedPaths {
		info, err := os.Stat(path)
		if err != nil || info.IsDir() {
			continue // this kernel does not have it, or it is an empty tmpfs, see TestMaskedPaths
		}
		s.says(t, "1,3\n", "stat -c %t,%T "+path)
	}
	s.says(t, "1,3\n", "stat -c %t,%T /dev/null; echo '|/evil' >/dev/null; echo '|/evil' >/dev/console 2>/dev/null; rm -f /dev/console")
	for _, path := range readOnlyPaths {
		got := finish(t, s.run(t, "--rm", "busybox", "sh", "-c", "! find "+path+" -type f -exec sh -c 'echo x >$0' {} \\; 2>/dev/null; touch "+path+"/x"))
		if got.status == 0 || !strings.Contains(got.stderr, "Read-only") && !strings.Contains(got.stderr, "No such file") && !strings.Contains(got.stderr, "not permitted") && !strings.Contains(got.stderr, "Not a directory") {
			t.Errorf("%s: %+q", path, got)
		}
	}
	if after := readFile(t, pattern); after != before {
		t.Errorf("core_pattern was %q and is %q", before, after)
	}
}
