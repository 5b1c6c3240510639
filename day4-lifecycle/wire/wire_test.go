package wire

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func pair(t testing.TB) (*Conn, *Conn) {
	t.Helper()
	a, file, err := Pair()
	if err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Dup(int(file.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	b, err := FromDescriptor(fd)
	if err := errors.Join(err, file.Close()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close(); b.Close() })
	return a, b
}

func TestMessages(t *testing.T) {
	a, b := pair(t)
	large := bytes.Repeat([]byte("0123456789"), 300000)
	go func() {
		for _, text := range [][]byte{nil, []byte("x"), large} {
			if err := a.Send(Stdout, text); err != nil {
				t.Error(err)
			}
		}
		a.Close()
	}()
	for _, want := range [][]byte{nil, []byte("x"), large} {
		kind, got, err := b.Receive()
		if err != nil || kind != Stdout || !bytes.Equal(got, want) {
			t.Errorf("%q, %d bytes, %v; want %d", kind, len(got), err, len(want))
		}
	}
	if _, _, err := b.Receive(); !errors.Is(err, io.EOF) {
		t.Errorf("at the end: %v", err)
	}
}

// Many goroutines send at once, with descriptors: nothing is mixed up or lost.
func TestFiles(t *testing.T) {
	a, b := pair(t)
	dir := t.TempDir()
	var all sync.WaitGroup
	for i := range 50 {
		all.Go(func() {
			name := filepath.Join(dir, strings.Repeat("x", i+1))
			file, err := os.Create(name)
			if err != nil {
				t.Error(err)
				return
			}
			defer file.Close()
			if err := a.SendFiles(Ask, []byte(name), file, file, file); err != nil {
				t.Error(err)
			}
		})
	}
	for range 50 {
		kind, name, files, err := b.ReceiveFiles()
		if err != nil || kind != Ask || len(files) != 3 {
			t.Fatalf("%q, %d files, %v", kind, len(files), err)
		}
		want, err1 := os.Stat(string(name))
		for _, file := range files {
			got, err2 := file.Stat()
			if err1 != nil || err2 != nil || !os.SameFile(want, got) {
				t.Errorf("another file than %s: %v, %v", name, err1, err2)
			}
			file.Close()
		}
	}
	all.Wait()
	before := descriptors(t)
	if err := a.SendFiles(Ask, nil, os.Stdin); err != nil { // to a receiver that wants none
		t.Fatal(err)
	}
	if _, _, err := b.Receive(); err != nil || descriptors(t) != before {
		t.Errorf("%v; %d descriptors became %d", err, before, descriptors(t))
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	all, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}

func TestListen(t *testing.T) {
	path := filepath.Join(t.TempDir(), strings.Repeat("long/", 50), "socket")
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := Dial(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("nobody is there: %v", err)
	}
	for range 2 { // the second replaces the first's socket
		l, err := Listen(path)
		if err != nil {
			t.Fatal(err)
		}
		c, err := Dial(path)
		if err != nil {
			t.Fatal(err)
		}
		if pid, err := c.Peer(); err != nil || pid != os.Getpid() {
			t.Errorf("process %d listens, %v", pid, err)
		}
		if err := c.SetDeadline(time.Now().Add(time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Ask(Request{Do: DoKill}); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("nobody answers: %v", err)
		}
		c.Close()
		l.Close()
	}
	if _, err := Dial(path); err == nil {
		t.Error("a dead socket answers")
	}
}

// Who dies amid a message, or with one unread, has closed the connection.
func TestDies(t *testing.T) {
	for _, start := range []string{"", "1", "1\x00\x00\x00\x02", "1\x00\x00\x00\x02x"} {
		for _, unread := range []bool{false, true} {
			a, b := pair(t)
			if unread {
				if err := b.Send(Stdin, []byte("x")); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := a.Write([]byte(start)); err != nil {
				t.Fatal(err)
			}
			a.Close()
			if _, _, err := b.Receive(); err != io.EOF {
				t.Errorf("after %q, unread: %v: %v", start, unread, err)
			}
		}
	}
}

// Closing a connection or a listener ends calls that wait for it in other
// goroutines.
func TestClose(t *testing.T) {
	a, _ := pair(t)
	l, err := Listen(filepath.Join(t.TempDir(), "socket"))
	if err != nil {
		t.Fatal(err)
	}
	ends := make(chan error, 3)
	go func() { _, _, err := a.Receive(); ends <- err }()
	go func() { _, err := l.Accept(); ends <- err }()
	go func() { ends <- a.Send(Stdin, make([]byte, 4<<20)) }() // more than fits
	time.Sleep(10 * time.Millisecond)
	a.Close()
	l.Close()
	for range cap(ends) {
		if err := <-ends; !errors.Is(err, os.ErrClosed) {
			t.Errorf("%v", err)
		}
	}
	if _, err := FromDescriptor(0); err == nil {
		t.Error("standard input is taken for a socket")
	}
}

// Whatever arrives is a message or an error, and does not use up the memory.
func FuzzReceive(f *testing.F) {
	f.Add([]byte("Q\x00\x00\x00\x02{}"))
	f.Add([]byte("Q\xff\xff\xff\xff{}"))
	f.Add([]byte("Q\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		a, b := pair(t)
		go func() { _, _ = a.Write(data); a.Close() }()
		for total := 0; ; {
			_, text, err := b.Receive()
			if err != nil {
				return
			}
			if total += len(text) + 5; total > len(data) {
				t.Fatalf("%d bytes came of %d", total, len(data))
			}
		}
	})
}
