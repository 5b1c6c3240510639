package shim

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/creack/pty"

	"example.com/go-docker/day4-lifecycle/container"
	"example.com/go-docker/day4-lifecycle/logfile"
	"example.com/go-docker/day4-lifecycle/wire"
)

// streams are the container's standard streams: the ends that it has, in
// parent, and ours.
type streams struct {
	parent container.Parent
	given  []*os.File // to the container
	stdin  *os.File   // nil: it has none. With a terminal, that
	output []*output
	copies sync.WaitGroup

	closing sync.Mutex // guards stdin
}

// An output is what the container writes on one stream.
type output struct {
	*os.File
	kind    wire.Kind
	clients *clients
	mu      sync.Mutex
	ended   bool
	more    time.Duration // how long we wait for more after the end, in all
}

func openStreams(c *container.Container, stdin bool) (_ *streams, err error) {
	s := new(streams)
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	if c.TTY {
		master, slave, err := pty.Open()
		if err != nil {
			return nil, fmt.Errorf("open a pseudo-terminal: %w", err)
		}
		s.parent.Terminal, s.stdin = slave, master
		s.given = append(s.given, slave)
		s.output = append(s.output, &output{File: master, kind: wire.Stdout, more: time.Second})
		return s, nil
	}
	for _, stream := range []struct {
		kind wire.Kind
		to   **os.File
	}{{wire.Stdout, &s.parent.Stdout}, {wire.Stderr, &s.parent.Stderr}} {
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
		s.parent.Stdin, s.stdin = r, w
		s.given = append(s.given, r)
	}
	return s, nil
}

// copy begins to copy the container's output to the log and to the clients.
func (s *streams) copy(log *logfile.Writer, to *clients) {
	for _, f := range s.given { // else we would never read an end of file
		_ = f.Close()
	}
	for _, o := range s.output {
		o.clients = to
		name := map[wire.Kind]string{wire.Stdout: "stdout", wire.Stderr: "stderr"}[o.kind]
		s.copies.Go(func() { _ = log.Copy(name, o) }) // it ends with its end of the pipe
	}
}

// Read has what it reads sent to the clients, too: one that is slow makes the
// container wait, as a pipe would.
//
// The container's end is the end of file, as a rule: nobody is left who could
// write. But a process outside its PID namespace may hold on to a stream for
// ever, so then we do not wait much longer for more.
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

// drain returns when all that the container has written is copied.
func (s *streams) drain() {
	for _, o := range s.output {
		o.mu.Lock()
		o.ended = true
		_ = o.SetReadDeadline(time.Now()) // Read comes back, and sees it
		o.mu.Unlock()
	}
	s.copies.Wait()
	s.closing.Lock()
	defer s.closing.Unlock()
	s.close()
}

func (s *streams) close() {
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

// input passes on what a client types; the end of it for nil, if there can be
// one: a terminal has none.
func (s *streams) input(text []byte, terminal bool) {
	s.closing.Lock()
	stdin := s.stdin
	s.closing.Unlock()
	switch {
	case stdin == nil:
	case len(text) > 0:
		_, _ = stdin.Write(text) // nobody may be there to read it any more
	case !terminal:
		_ = stdin.Close()
	}
}

// hangUp closes a stream that nobody reads any more: as in a pipeline, who
// writes to it then gets SIGPIPE, or SIGHUP from a terminal.
func (s *streams) hangUp(kind wire.Kind) {
	for _, o := range s.output {
		if o.kind == kind {
			_ = o.Close()
		}
	}
}

// resize gives the container's terminal a size; the kernel then tells the
// programs in it with SIGWINCH.
func (s *streams) resize(rows, cols uint16) {
	s.closing.Lock()
	defer s.closing.Unlock()
	if s.stdin != nil {
		_ = pty.Setsize(s.stdin, &pty.Winsize{Rows: rows, Cols: cols}) // fails after the end
	}
}

// clients are those who are attached.
type clients struct {
	mu  sync.Mutex
	all []*wire.Conn
}

func (c *clients) add(client *wire.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all = append(c.all, client)
}

func (c *clients) remove(client *wire.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all = slices.DeleteFunc(c.all, func(other *wire.Conn) bool { return other == client })
}

func (c *clients) send(kind wire.Kind, content []byte) {
	c.mu.Lock()
	all := slices.Clone(c.all)
	c.mu.Unlock()
	for _, client := range all {
		if client.Send(kind, content) != nil {
			c.remove(client) // it has gone; its own goroutine closes it
		}
	}
}

// drop lets go of all of them.
func (c *clients) drop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, client := range c.all {
		_ = client.Close() // which ends a Send that waits
	}
	c.all = nil
}
