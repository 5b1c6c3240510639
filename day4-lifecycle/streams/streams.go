// Package streams is the shim's side of a container's standard input, output
// and error, and copies them to the log and to attached clients.
//
// It grew from rung 05-logs and adds a terminal, input, any number of clients,
// and a limit on how long anybody can hold up the end.
package streams

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	"example.com/go-docker/day4-lifecycle/container"
	"example.com/go-docker/day4-lifecycle/logfile"
	"example.com/go-docker/day4-lifecycle/wire"
)

// Streams holds the container's ends, in Parent, and ours.
type Streams struct {
	Parent container.Parent
	given  []*os.File // to the container
	stdin  *os.File   // nil: none; with a terminal, its master
	output []*output
	copies sync.WaitGroup
}

// An output is what the container writes on one stream.
type output struct {
	*os.File
	kind    wire.Kind
	clients *Clients
	mu      sync.Mutex
	ended   bool
	more    time.Duration // how much longer we wait for output after the end
}

// Open makes a container's streams. Standard input is optional.
func Open(c *container.Container, stdin bool) (_ *Streams, err error) {
	s := new(Streams)
	defer func() {
		if err != nil {
			s.Close()
		}
	}()
	if c.TTY {
		master, slave, err := pty.Open()
		if err != nil {
			return nil, fmt.Errorf("open a pseudo-terminal: %w", err)
		}
		s.Parent.Terminal, s.given = slave, []*os.File{slave}
		// Whoever asks a File for its descriptor, as pty does, makes it one that
		// blocks: no deadline would end its reads any more. So we go on with a copy.
		defer master.Close()
		fd, err := unix.FcntlInt(master.Fd(), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			return nil, fmt.Errorf("copy the descriptor of a pseudo-terminal: %w", err)
		}
		_ = unix.SetNonblock(fd, true) // a new descriptor is a good one
		s.stdin = os.NewFile(uintptr(fd), master.Name())
		s.output = append(s.output, &output{File: s.stdin, kind: wire.Stdout, more: time.Second})
		return s, nil
	}
	for _, stream := range []struct {
		kind wire.Kind
		to   **os.File
	}{{wire.Stdout, &s.Parent.Stdout}, {wire.Stderr, &s.Parent.Stderr}} {
		r, w, err := os.Pipe()
		if err != nil {
			return nil, fmt.Errorf("make a pipe for the container's output: %w", err)
		}
		*stream.to = w
		s.given = append(s.given, w)
		s.output = append(s.output, &output{File: r, kind: stream.kind, more: time.Second})
	}
	if stdin {
		r, w, err := os.Pipe()
		if err != nil {
			return nil, fmt.Errorf("make a pipe for the container's input: %w", err)
		}
		s.Parent.Stdin, s.stdin = r, w
		s.given = append(s.given, r)
	}
	return s, nil
}

// Copy starts copying the container's output to the log, if that is not nil,
// and to the clients.
func (s *Streams) Copy(log *logfile.Writer, to *Clients) {
	for _, f := range s.given { // or we would never read end of file
		_ = f.Close()
	}
	for _, o := range s.output {
		o.clients = to
		name := map[wire.Kind]string{wire.Stdout: "stdout", wire.Stderr: "stderr"}[o.kind]
		s.copies.Go(func() { // ends at end of file
			if log != nil {
				_ = log.Copy(name, o)
			} else {
				_, _ = io.Copy(io.Discard, struct{ io.Reader }{o}) // hides the file's WriteTo, which would bypass our Read
			}
		})
	}
}

// Read also sends what it reads to the clients. A slow client makes the
// container wait, as a pipe would.
//
// When the container ends, Read normally reaches end of file, because nobody is
// left to write. But a process outside its PID namespace may keep a stream open
// forever, so after the end the wait for more is limited.
func (o *output) Read(p []byte) (int, error) {
	for {
		o.mu.Lock()
		ended, more := o.ended, o.more
		if ended {
			_ = o.SetReadDeadline(time.Now().Add(more))
		}
		o.mu.Unlock()
		began := time.Now()
		n, err := o.File.Read(p)
		if ended {
			o.more -= time.Since(began)
		}
		if n > 0 {
			o.clients.send(o.kind, p[:n])
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return n, err
		}
		if ended && n == 0 {
			return 0, io.EOF
		}
	}
}

// Drain returns once everything that the container wrote has been copied.
func (s *Streams) Drain() {
	for _, o := range s.output {
		o.mu.Lock()
		o.ended = true
		_ = o.SetReadDeadline(time.Now()) // makes a waiting Read notice the end
		o.mu.Unlock()
	}
	s.copies.Wait()
	s.Close()
}

// Close closes all ends, the container's and ours.
func (s *Streams) Close() {
	for _, f := range s.given {
		_ = f.Close()
	}
	for _, o := range s.output {
		_ = o.Close()
	}
	if s.stdin != nil {
		_ = s.stdin.Close()
	}
}

// Typed handles a message from a client: input, its terminal's size, or a
// stream that it no longer reads.
func (s *Streams) Typed(kind wire.Kind, text []byte, terminal bool) {
	switch {
	case kind == wire.Stdout, kind == wire.Stderr:
		s.hangUp(kind)
	case s.stdin == nil:
	case kind == wire.Size && len(text) == 4 && terminal:
		// The kernel sends SIGWINCH to the programs there. This fails after the
		// end.
		_ = pty.Setsize(s.stdin, &pty.Winsize{Rows: binary.BigEndian.Uint16(text), Cols: binary.BigEndian.Uint16(text[2:])})
	case kind == wire.Stdin && len(text) > 0:
		_, _ = s.stdin.Write(text) // there may be no reader any more
	case kind == wire.Stdin && !terminal: // a terminal's input has no end
		_ = s.stdin.Close()
	}
}

// hangUp closes a stream that nobody reads any more. As in a pipeline, a
// process that then writes to it gets SIGPIPE, or SIGHUP from a terminal.
func (s *Streams) hangUp(kind wire.Kind) {
	for _, o := range s.output {
		if o.kind == kind {
			_ = o.Close()
		}
	}
}
