// Package wire is the protocol between a shim and its clients: messages over a
// unix socket, with descriptors beside them, unix(7). The ladder has no rung
// for it, because its programs share files.
package wire

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// A Kind says what a message is.
type Kind byte

const (
	Ask    Kind = 'Q' // a Request, as JSON; the first message of a client
	Answer Kind = 'A' // a Reply, as JSON
	Stdin  Kind = '0' // what the user types; empty: end of file
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
	Signal  int             `json:",omitempty"` // for kill and stop
	Seconds int             `json:",omitempty"` // for stop: before SIGKILL; negative: never
	Stdin   bool            `json:",omitempty"` // for attach: with standard input
	Command json.RawMessage `json:",omitempty"` // for exec: a join.Command; three descriptors come with it
}

// What a client can ask for.
const (
	DoKill    = "kill"
	DoStop    = "stop"   // answered when the container has ended
	DoWait    = "wait"   // the same
	DoHurry   = "hurry"  // drop clients that do not read the last output
	DoRecord  = "record" // write the container's state anew: its file is damaged
	DoPause   = "pause"
	DoUnpause = "unpause"
	DoAttach  = "attach" // answered, then streams, then a second Reply at the end
	DoExec    = "exec"   // answered when the command runs, and again when it has ended
	DoRoot    = "root"   // answered with a descriptor of the container's root
)

// A Reply is the result of a request.
type Reply struct {
	Error  string `json:",omitempty"` // "": success
	Status int    // of the process that has ended; with Error, the client's exit status

	File *os.File `json:"-"` // for DoRoot, sent beside the text
}

// A Conn is one end of a connection. Send may be called concurrently.
type Conn struct {
	*os.File
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
	message = append(message, content...)
	n, err := c.sendmsg(message, rights)
	if err == nil && n < len(message) {
		_, err = c.Write(message[n:])
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

// Receive returns the next message. The error is io.EOF if the other end has
// closed the connection or died.
func (c *Conn) Receive() (Kind, []byte, error) {
	kind, content, files, err := c.ReceiveFiles()
	for _, f := range files {
		err = errors.Join(err, f.Close())
	}
	return kind, content, err
}

// ReceiveFiles is Receive, and returns the descriptors that came with the message.
func (c *Conn) ReceiveFiles() (kind Kind, content []byte, files []*os.File, err error) {
	defer func() {
		if errors.Is(err, unix.ECONNRESET) || errors.Is(err, io.ErrUnexpectedEOF) { // it died with unread data, or amid a message
			err = io.EOF
		}
		if err != nil {
			for _, f := range files {
				_ = f.Close()
			}
			files = nil
		}
	}()
	// Descriptors come with the first byte, and are lost if that is read
	// without asking for them. A read stops after the bytes that were sent with
	// descriptors. unix(7)
	var header [5]byte
	rights := make([]byte, unix.CmsgSpace(4*3))
	n, got, err := c.recvmsg(header[:], rights)
	if n == 0 && err == nil {
		err = io.EOF
	}
	if err != nil {
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

// Listen calls do for each message that arrives, in another goroutine, until
// the other end has gone.
func (c *Conn) Listen(do func(kind Kind, content []byte)) (gone <-chan struct{}) {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			kind, content, err := c.Receive()
			if err != nil {
				return
			}
			do(kind, content)
		}
	}()
	return ended
}

// ReceiveReply returns the next message, which must be a Reply.
func (c *Conn) ReceiveReply() (reply Reply, err error) {
	kind, text, files, err := c.ReceiveFiles()
	if len(files) > 0 {
		reply.File = files[0] // a shim sends only one
	}
	switch {
	case err != nil:
	case kind != Answer:
		err = fmt.Errorf("the shim answers with a message of kind %q", kind)
	default:
		err = json.Unmarshal(text, &reply)
	}
	return reply, err
}

func parse(rights []byte) (files []*os.File, err error) {
	messages, err := unix.ParseSocketControlMessage(rights)
	for _, m := range messages {
		fds, errRights := unix.ParseUnixRights(&m)
		err = errors.Join(err, errRights)
		for _, fd := range fds {
			files = append(files, os.NewFile(uintptr(fd), "received"))
		}
	}
	return files, err
}
