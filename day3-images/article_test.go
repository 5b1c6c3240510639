package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"example.com/go-docker/day3-images/internal/testkit"
	"github.com/creack/pty"
)

// rootTar returns a tar of the busybox files, like that of docker export.
func rootTar(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "busybox.tar")
	if err := os.WriteFile(path, testkit.Tar(t, busyboxFiles(t)...), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// The way of the original articles: a busybox tar, run -ti -v with their
// spellings on a terminal, and commit to a tar, from which the next image can
// be made.
func TestSeriesUsage(t *testing.T) {
	kernelTest(t)
	s, dir := emptyStore(t), t.TempDir()
	ok(t, s, "import", rootTar(t), "busybox")

	master, terminal, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer master.Close()
	cmd := s.run(t, "-ti", "-m", "100m", "-cpushare", "512", "-cpuset", "0", "-v", dir+":/ctr", "-name", "series", "busybox", "sh")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = terminal, terminal, terminal
	l := launch(t, cmd)
	terminal.Close()
	var screen transcript
	shown := make(chan struct{})
	go func() {
		defer close(shown)
		buffer := make([]byte, 1024)
		for {
			n, err := master.Read(buffer)
			screen.Write(buffer[:n])
			if err != nil {
				return
			}
		}
	}()
	if _, err := master.WriteString("tty; echo hi >/ctr/from-inside; echo changed >/changed; rm /etc/group; exit 3\n"); err != nil {
		t.Fatal(err)
	}
	if got := l.wait(); got.status != 3 {
		t.Errorf("%+q; screen %q", got, screen.String())
	}
	<-shown
	if !strings.Contains(screen.String(), "/dev/console\r\n") {
		t.Errorf("screen %q", screen.String())
	}
	if text := readFile(t, dir+"/from-inside"); text != "hi" {
		t.Errorf("%q", text)
	}

	// -c used to be the directory for the tar. It is an instruction now, and
	// the error says so.
	refused(t, s, "commit -o "+dir+"/NAME.tar CONTAINER", "commit", "-c", dir, "series")
	ok(t, s, "commit", "-o", dir+"/series.tar", "series")
	ok(t, s, "import", dir+"/series.tar", "again")
	got := finish(t, s.run(t, "--rm", "again", "sh", "-c", "cat /changed; ls /etc/group /ctr /dev"))
	if got.stdout != "changed\n/ctr:\n" && !strings.HasPrefix(got.stdout, "changed\n") || !strings.Contains(got.stderr, "/etc/group: No such file") {
		t.Errorf("%+q", got)
	}
}

// A limit of day 2 holds for a container from an image, as the kernel's
// counters show.
func TestImageWithLimits(t *testing.T) {
	s := boxes(t, nil)
	got := finish(t, s.run(t, "--rm", "-m", "20m", "busybox", "dd", "if=/dev/zero", "of=/dev/null", "bs=60M", "count=9")) // see TestWholeWay
	if got.status != 137 {
		t.Errorf("60 MB in a container of 20: %+q", got)
	}
	s.says(t, "", "dd if=/dev/zero of=/dev/null bs=10M count=1 2>/dev/null", "-m", "20m")
	got = finish(t, s.run(t, "--rm", "--pids-limit", "4", "busybox", "sh", "-c", "for i in 1 2 3 4 5 6; do sleep 5 & done; wait"))
	if got.status == 0 || !strings.Contains(got.stderr, "fork") {
		t.Errorf("%+q", got)
	}
}
