package confine

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Whatever an image has as /etc/passwd is read, or refused at once.
func TestOpenAccounts(t *testing.T) {
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	err := errors.Join(os.WriteFile(in("file"), []byte("x:y\n"), 0o600), os.Symlink("file", in("link")), os.Symlink("missing", in("dangling")),
		os.Mkdir(in("dir"), 0o700), unix.Mkfifo(in("fifo"), 0o600), os.Symlink("/proc/self/status", in("proc")),
		os.Symlink("/sys/kernel/fscaps", in("sys")), os.Symlink("/dev/zero", in("device")), os.WriteFile(in("large"), nil, 0o600), os.Truncate(in("large"), 1<<40))
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ name, text, err string }{
		{name: "file", text: "x:y\n"}, {name: "link", text: "x:y\n"}, {name: "missing"}, {name: "dangling"},
		{name: "dir", err: "not a regular file"}, {name: "fifo", err: "not a regular file"}, {name: "proc", err: "not a regular file"},
		{name: "sys", err: "not a regular file"}, {name: "device", err: "not a regular file"}, {name: "large", err: "too many"},
	} {
		type result struct {
			text string
			err  error
		}
		opened := make(chan result, 1)
		go func() {
			reader, err := openAccounts(in(test.name))
			if reader == nil {
				reader = strings.NewReader("")
			}
			text, _ := io.ReadAll(reader)
			opened <- result{string(text), err}
		}()
		select {
		case got := <-opened:
			switch {
			case test.err == "" && got.err != nil || test.err != "" && (got.err == nil || !strings.Contains(got.err.Error(), test.err)):
				t.Errorf("%s: the error is %v, want one about %q", test.name, got.err, test.err)
			case got.text != test.text:
				t.Errorf("%s: %q", test.name, got.text)
			}
		case <-time.After(time.Minute):
			t.Fatalf("%s: still waiting", test.name)
		}
	}
}
