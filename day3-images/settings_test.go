package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"example.com/go-docker/day3-images/container"
	"example.com/go-docker/day3-images/internal/testkit"
	"golang.org/x/sys/unix"
)

func TestSettings(t *testing.T) {
	s := boxes(t, []testkit.Entry{testkit.Dir("private").WithMode(0o700), testkit.File("private/of-the-image", "")})
	file := t.TempDir() + "/env"
	if err := os.WriteFile(file, []byte("# comment\n\nA=1 # all of this\n  B=\"q\"\nPASSED\nMISSING\nC=file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PASSED", "on")
	var files unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &files); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		options      []string
		script, want string
	}{
		{[]string{"--env-file", file, "-e", "C=flag"}, `echo "$A|$B|$PASSED|$C|${MISSING-unset}"`, "1 # all of this|\"q\"|on|flag|unset\n"},
		{[]string{"--add-host", "db:10.0.0.7", "--add-host", "six=[fd00::1]", "--add-host", "seven:fd00::2"}, `grep -e ^10 -e ^fd /etc/hosts`, "10.0.0.7\tdb\nfd00::1\tsix\nfd00::2\tseven\n"},
		{nil, "df -k /dev/shm | sed '1d; s/  */ /g' | { read a b c; echo $b; }", "65536\n"},
		{[]string{"--shm-size", "3m"}, "df -k /dev/shm | sed '1d; s/  */ /g' | { read a b c; echo $b; }; dd if=/dev/zero of=/dev/shm/x bs=1M count=4 2>/dev/null || echo full", "3072\nfull\n"},
		// In memory, for everybody, and gone afterwards; an image's directory
		// keeps its mode.
		{[]string{"--tmpfs", "/new/one"}, "touch /new/one/x; stat -c '%a' /new/one; grep /new/one /proc/self/mountinfo | sed 's/.*new.one //; s/ .*//'", "1777\nrw,nosuid,nodev,noexec,relatime\n"},
		{[]string{"--tmpfs", "/private:size=1m"}, "ls -A /private; stat -c '%a' /private; dd if=/dev/zero of=/private/x bs=1M count=2 2>/dev/null || echo full", "700\nfull\n"},
		{[]string{"--tmpfs", "/t:exec,mode=755,uid=7"}, "stat -c '%a %u' /t; cp /bin/busybox /t/echo 2>/dev/null || cat /bin/busybox >/t/echo; chmod 755 /t/echo; /t/echo runs", "755 7\nruns\n"},
		{[]string{"--tmpfs", "/t:ro"}, "touch /t/x 2>/dev/null || echo read-only", "read-only\n"},
		{[]string{"--tmpfs", "/data/t", "-v", t.TempDir() + ":/data", "--read-only"}, "touch /data/t/x /data/y; ls /data", "t\ny\n"},
		{[]string{"--ulimit", "nofile=20:30", "--ulimit", "core=0", "--ulimit", "fsize=-1"}, "ulimit -Sn; ulimit -Hn; ulimit -c; ulimit -f", "20\n30\n0\nunlimited\n"},
		{[]string{"--ulimit", "nofile=20", "--init=false"}, "ulimit -Sn; ulimit -Hn", "20\n20\n"},
		{[]string{"--ulimit", "nofile=20", "-u", "1234"}, "ulimit -Hn", "20\n"},
		{[]string{"--ulimit", fmt.Sprint("nofile=20:", files.Max)}, "ulimit -Sn; until grep 'open files' /proc/1/limits | { read a b c d e; test $d -gt 20; }; do sleep 0.01; done; echo not init", "20\nnot init\n"},
	} {
		s.says(t, test.want, test.script, test.options...)
	}
}

func TestWrongSettings(t *testing.T) {
	s := boxes(t, nil)
	file := t.TempDir() + "/env"
	if err := os.WriteFile(file, []byte("A=1\nB C=2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []string{
		"--env-file=/proc/nosuch no such file", "--env-file=" + file + " 'B C'",
		"--add-host=db want NAME", "--add-host=:1.2.3.4 want NAME", "--add-host=db:host-gateway --add-host", "--add-host=a\n6.6.6.6:1.2.3.4 want NAME",
		"--shm-size=0 more than 0", "--shm-size=-1 --shm-size", "--shm-size=x --shm-size",
		"--tmpfs=relative absolute path", "--tmpfs=/ other than /", "--tmpfs=/t:bind unknown option", "--tmpfs=/t:size=x size=x",
		"--ulimit=nofile --ulimit", "--ulimit=nofile=2:1 --ulimit", "--ulimit=nosuch=1 --ulimit", "--ulimit=nofile=-2 --ulimit",
	} {
		option, says, _ := strings.Cut(test, " ")
		refuses(t, s.run(t, option, "busybox", "true"), 125, says)
	}
}

// A small address space gives one line of error, not a dump of stacks. The program
// is linked without C's library, which reserves some for each thread: with it, the
// runtime may fail before our check.
func TestSmallAddressSpace(t *testing.T) {
	exe := filepath.Join(t.TempDir(), "static")
	build := exec.Command("go", "build", "-o", exe, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if said, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	cmd := exec.Command("sh", "-c", `ulimit -v 1000000; exec "$0" images`, exe)
	cmd.Env = program(t).Env
	refuses(t, cmd, container.RuntimeError, "limited to 1000000 KiB", "ulimit -v unlimited")
}
