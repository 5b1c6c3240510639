package testkit

import (
	"testing"

	"golang.org/x/sys/unix"
)

// Few is how many files FewFiles leaves.
const Few = 60

// FewFiles lets the test's whole process have only Few files open until the
// test ends. Take t.TempDir before: it goes only after the limit then.
func FewFiles(t testing.TB) {
	t.Helper()
	var files unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &files); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Setrlimit(unix.RLIMIT_NOFILE, &files) })
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: Few, Max: files.Max}); err != nil {
		t.Fatal(err)
	}
}
