// Package console is the user's side of a container's standard streams: the
// terminal, its size, signals, and the keys that detach.
//
// The ladder has no rung for it, because its boxes have no terminal.
package console

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/moby/term"
	"github.com/sirupsen/logrus"

	"example.com/go-docker/day5-networks/container"
	"example.com/go-docker/day5-networks/wire"
)

// A Console is what a client offers the container that it is attached to.
type Console struct {
	Stdin   *os.File // nil: none
	TTY     bool     // the container has a terminal
	Detach  []byte   // keys that detach; only with TTY
	Signals *container.Signals
	Own     bool        // the container was started for us, so if nobody reads our output, nobody reads the container's
	Deaf    func() bool // whether the shim cannot get our signals; nil: it can
	// Kill sends a signal outside the connection, where it would be stuck
	// behind input that the container does not read. nil: nothing can be in its
	// way there.
	Kill func(sig syscall.Signal)
}

// ErrDetached means that the user has detached from a running container.
var ErrDetached = errors.New("detached")

// Follow passes on what the user types and what the container writes until the
// container ends, and returns its exit status.
func (t Console) Follow(conn *wire.Conn) (status int, err error) {
	defer conn.Close()
	if t.TTY && t.Stdin != nil {
		restore, err := t.makeRaw(conn)
		if err != nil {
			return 0, err
		}
		defer restore()
	}
	detached := make(chan struct{})
	if t.Stdin != nil {
		go t.send(conn, detached)
	}
	deaf := make(chan int, 1)
	go func() {
		for sig := range t.Signals.Caught() {
			if t.Deaf != nil && t.Deaf() {
				deaf <- 128 + int(sig.(syscall.Signal))
				_ = conn.Close()
				return
			}
			sig := t.Signals.Escalate(sig).(syscall.Signal)
			if t.Kill != nil && t.Stdin != nil {
				go t.Kill(sig) // Kill may wait for the shim
			} else {
				_ = conn.Send(wire.Signal, []byte{byte(sig)})
			}
		}
	}()
	signal.Ignore(syscall.SIGPIPE) // SIGPIPE would kill us and leave the user's terminal raw
	status, err = t.print(conn)
	select {
	case <-detached:
		return 0, ErrDetached
	case status := <-deaf:
		return status, errors.New("the container's shim is stopped, and passes on no signals")
	default:
	}
	return status, err
}

// print writes the container's output until the container ends.
func (t Console) print(conn *wire.Conn) (int, error) {
	for {
		kind, text, err := conn.Receive()
		if errors.Is(err, io.EOF) || errors.Is(err, os.ErrClosed) {
			return 137, errors.New("the container's shim was killed, and the container with it")
		}
		if err != nil {
			return 0, err
		}
		switch kind {
		case wire.Stdout:
			_, err = os.Stdout.Write(text)
		case wire.Stderr:
			_, err = os.Stderr.Write(text)
		case wire.Answer:
			var reply wire.Reply
			if err := json.Unmarshal(text, &reply); err != nil {
				return 0, err
			}
			return reply.Status, nil
		}
		if err != nil && t.Own {
			_ = conn.Send(kind, nil) // as in a pipeline, the container finds out on its next write
		} else if err != nil {
			return 0, err
		}
	}
}

// makeRaw turns off our terminal's line editing, because the container's
// terminal does that, and turns ^C into a signal for what runs there.
func (t Console) makeRaw(conn *wire.Conn) (restore func(), err error) {
	if !term.IsTerminal(t.Stdin.Fd()) {
		return func() {}, nil
	}
	saved, err := term.SetRawTerminal(t.Stdin.Fd())
	if err != nil {
		return nil, fmt.Errorf("set the terminal raw: %w", err)
	}
	resized := make(chan os.Signal, 1)
	signal.Notify(resized, syscall.SIGWINCH)
	send := func() {
		if size, err := term.GetWinsize(t.Stdin.Fd()); err == nil {
			text := binary.BigEndian.AppendUint16(nil, size.Height)
			_ = conn.Send(wire.Size, binary.BigEndian.AppendUint16(text, size.Width))
		}
	}
	send()
	go func() {
		for range resized {
			send()
		}
	}()
	return func() {
		signal.Stop(resized)
		if err := term.RestoreTerminal(t.Stdin.Fd(), saved); err != nil {
			logrus.Warnf("restore the terminal: %v", err)
		}
	}, nil
}

// send sends what the user types. It ends only with the program: nothing can
// interrupt a read from a terminal.
func (t Console) send(conn *wire.Conn, detached chan struct{}) {
	keys := detacher{keys: t.Detach}
	if !t.TTY {
		keys.keys = nil
	}
	buffer := make([]byte, 32<<10)
	for {
		n, err := t.Stdin.Read(buffer)
		text, done := keys.filter(buffer[:n])
		if len(text) > 0 && conn.Send(wire.Stdin, text) != nil {
			return
		}
		if done {
			close(detached)
			_ = conn.Close()
			return
		}
		if err != nil {
			_ = conn.Send(wire.Stdin, nil)
			return
		}
	}
}

// A detacher looks for the detach keys in what is typed, which may come in
// pieces.
type detacher struct {
	keys []byte
	held []byte // the first of the keys
}

// filter returns what to pass on: everything except the keys. It holds back the
// first of them until it is clear whether the rest follow.
func (d *detacher) filter(typed []byte) (text []byte, done bool) {
	if len(d.keys) == 0 {
		return typed, false
	}
	for _, b := range typed {
		d.held = append(d.held, b)
		for !bytes.HasPrefix(d.keys, d.held) {
			text = append(text, d.held[0])
			d.held = d.held[1:]
		}
		if len(d.held) == len(d.keys) {
			return text, true
		}
	}
	return text, false
}

// ParseKeys reads --detach-keys in Docker's format, like ctrl-p,ctrl-q or x,y.
func ParseKeys(text string) (keys []byte, err error) {
	for part := range strings.SplitSeq(text, ",") {
		letter, ctrl := strings.CutPrefix(strings.ToLower(part), "ctrl-")
		switch {
		case ctrl && len(letter) == 1 && letter[0] >= '@' && letter[0] <= 'z' && letter[0] != '`':
			keys = append(keys, letter[0]&0x1f)
		case !ctrl && len(part) == 1:
			keys = append(keys, part[0])
		default:
			return nil, fmt.Errorf("invalid --detach-keys %q: want keys like ctrl-p,ctrl-q", text)
		}
	}
	return keys, nil
}
