// Package wire is how a shim and its clients talk: messages over a unix socket,
// with descriptors beside them, unix(7). The ladder has no rung for it: its
// programs share files.
package wire

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"
)

// A Kind says what a message is.
type Kind byte

const (
	Ask    Kind = 'Q' // a Request, as JSON; the first message of a client
	Answer Kind = 'A' // a Reply, as JSON
	Stdin  Kind = '0' // what the user types; empty: the end of it
	Stdout Kind = '1'
	Stderr Kind = '2'
	Size   Kind = 'W' // of the user's terminal: rows and columns, two bytes each
	Signal Kind = 'S' // one byte
)

// longest is the size of a message; only requests are large.
const longest = 8 << 20

// A Request is what a client wants.
type Request struct {
	Do      string          // one of the words below
	Signal  int             `json:",omitempty"` // kill, stop
	Seconds int             `json:",omitempty"` // stop: before SIGKILL; negative: never
	Stdin   bool            `json:",omitempty"` // attach: with standard input
	Command json.RawMessage `json:",omitempty"` // exec: a join.Command; three descriptors come with it. connect, disconnect: a network.Attachment
}

// What a client can want.
const (
	DoKill    = "kill"
	DoStop    = "stop" // answered when the container has ended
	DoWait    = "wait" // the same
	DoPause   = "pause"
	DoUnpause = "unpause"
	DoAttach  = "attach" // answered, then streams, then a second Reply at the end
	DoExec    = "exec"   // answered when the command runs, and again when it has ended
	DoRoot    = "root"   // answered with a descriptor of the container's root
	DoNetns   = "netns"  // the same of its network namespace
	DoConnect = "connect"
	DoLeave   = "disconnect"
)

// A Reply is what came of a request.
type Reply struct {
	Error  string `json:",omitempty"` // "": done
	Status int    // of what has ended; with Error, the status that the client should have
	Notes  []Note `json:",omitempty"` // what was logged meanwhile, for the user to know
}

// A Conn is one end of a connection. Send may be called at once.
type Conn struct {
	*net.UnixConn
	mu sync.Mutex
}

// Send sends a message.
func (c *Conn) Send(kind Kind, content []byte) error { return c.SendFiles(kind, content) }

// SendFiles sends a message and descriptors.
func (c *Conn) SendFiles(kind Kind, content []byte, files ...*os.File) error {
	var rights []byte
	if len(files) > 0 {
		var fds []int
		for _, f := range files {
			fds = append(fds, int(f.Fd()))
		}
		rights = unix.UnixRights(fds...)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	message := binary.BigEndian.AppendUint32([]byte{byte(kind)}, uint32(len(content)))
	n, _, err := c.WriteMsgUnix(append(message, content...), rights, nil)
	if err == nil && n < len(message)+len(content) {
		_, err = c.Write(append(message, content...)[n:])
	}
	return err
}

// SendJSON sends a value.
func (c *Conn) SendJSON(kind Kind, v any, files ...*os.File) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return c.SendFiles(kind, text, files...)
}

// Receive returns the next message. The error is io.EOF when the other end has
// closed the connection, or died.
func (c *Conn) Receive() (Kind, []byte, error) {
	kind, content, files, err := c.ReceiveFiles()
	for _, f := range files {
		err = errors.Join(err, f.Close())
	}
	return kind, content, err
}

// ReceiveFiles returns the next message and the descriptors that came with it.
func (c *Conn) ReceiveFiles() (kind Kind, content []byte, files []*os.File, err error) {
	defer func() {
		if err != nil {
			for _, f := range files {
				_ = f.Close()
			}
			files = nil
		}
	}()
	// Descriptors come with the first byte, and are lost to those who read that
	// without asking for them. The kernel never gives us more of the stream than
	// belongs to them. unix(7)
	var header [5]byte
	rights := make([]byte, unix.CmsgSpace(4*3))
	n, got, _, _, err := c.ReadMsgUnix(header[:], rights)
	if n == 0 && err == nil {
		err = io.EOF
	}
	if err != nil {
		if errors.Is(err, unix.ECONNRESET) { // it has died and not read all
			err = io.EOF
		}
		return 0, nil, nil, err
	}
	if files, err = parse(rights[:got]); err != nil {
		return 0, nil, files, err
	}
	if _, err := io.ReadFull(c, header[n:]); err != nil {
		return 0, nil, files, err
	}
	size := binary.BigEndian.Uint32(header[1:])
	if size > longest {
		return 0, nil, files, fmt.Errorf("a message of %d bytes", size)
	}
	content = make([]byte, size)
	_, err = io.ReadFull(c, content)
	return Kind(header[0]), content, files, err
}

func parse(rights []byte) (files []*os.File, err error) {
	messages, err := unix.ParseSocketControlMessage(rights)
	for _, m := range messages {
		fds, errRights := unix.ParseUnixRights(&m)
		err = errors.Join(err, errRights)
		for _, fd := range fds {
			unix.CloseOnExec(fd)
			files = append(files, os.NewFile(uintptr(fd), "received"))
		}
	}
	return files, err
}

// Pair returns the two ends of a connection; the second is for another process.
func Pair() (*Conn, *os.File, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("make a pair of sockets: %w", err)
	}
	other := os.NewFile(uintptr(fds[1]), "socket")
	c, err := FromFile(os.NewFile(uintptr(fds[0]), "socket"))
	if err != nil {
		return nil, nil, errors.Join(err, other.Close())
	}
	return c, other, nil
}

// FromFile makes a connection of a socket, which it closes.
func FromFile(file *os.File) (*Conn, error) {
	c, err := net.FileConn(file)
	if err := errors.Join(err, file.Close()); err != nil {
		return nil, fmt.Errorf("use descriptor as a socket: %w", err)
	}
	unixConn, ok := c.(*net.UnixConn)
	if !ok {
		return nil, errors.Join(errors.New("not a unix socket"), c.Close())
	}
	return &Conn{UnixConn: unixConn}, nil
}

// A socket's path has at most 108 bytes, unix(7), and a store's may be longer.
// So it is named through a descriptor of its directory.
func inDir(path string, use func(short string) error) error {
	dir, err := os.OpenFile(filepath.Dir(path), unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	err = use(fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), filepath.Base(path)))
	return errors.Join(err, dir.Close())
}

// Listen makes a socket, in the place of what a dead one has left.
func Listen(path string) (listener *net.UnixListener, err error) {
	err = inDir(path, func(short string) error {
		if err := os.Remove(short); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		listener, err = net.ListenUnix("unix", &net.UnixAddr{Name: short, Net: "unix"})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	listener.SetUnlinkOnClose(false)
	return listener, nil
}

// Dial connects to a socket.
func Dial(path string) (c *Conn, err error) {
	err = inDir(path, func(short string) error {
		raw, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: short, Net: "unix"})
		c = &Conn{UnixConn: raw}
		return err
	})
	return c, err
}
