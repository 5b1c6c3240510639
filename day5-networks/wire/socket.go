package wire

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// The sockets are made by system calls and not by package net, which would
// bring along names, addresses and the packages for these, all kept in every
// shim's memory. An os.File has everything that a socket needs: its reads and
// writes wait without a thread, and end when it is closed.

// newFile takes a non-blocking socket, which tells NewFile that the runtime can
// poll it.
func newFile(fd int) *os.File { return os.NewFile(uintptr(fd), "socket") }

const socketType = unix.SOCK_STREAM | unix.SOCK_CLOEXEC | unix.SOCK_NONBLOCK

// try waits until the socket is ready for call.
func try(wait func(func(uintptr) bool) error, call func(fd int) error) (err error) {
	errWait := wait(func(fd uintptr) bool {
		for err = call(int(fd)); errors.Is(err, unix.EINTR); {
			err = call(int(fd))
		}
		return !errors.Is(err, unix.EAGAIN)
	})
	switch {
	case errors.Is(errWait, os.ErrDeadlineExceeded):
		return errWait
	case errWait != nil:
		return os.ErrClosed // the only other reason
	}
	return err
}

// recvmsg reads some bytes and the descriptors that came with the first one.
func (c *Conn) recvmsg(p, rights []byte) (n, got int, err error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, 0, err
	}
	err = try(raw.Read, func(fd int) (err error) {
		n, got, _, _, err = unix.Recvmsg(fd, p, rights, unix.MSG_CMSG_CLOEXEC)
		return err
	})
	return n, got, err
}

// sendmsg writes some of p, at least one byte, and the descriptors.
func (c *Conn) sendmsg(p, rights []byte) (n int, err error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, err
	}
	err = try(raw.Write, func(fd int) (err error) {
		n, err = unix.SendmsgN(fd, p, rights, nil, unix.MSG_NOSIGNAL)
		return err
	})
	return n, err
}

// Peer returns the id of the process at the other end: for one who has dialed,
// of the process that listens there. unix(7), SO_PEERCRED
func (c *Conn) Peer() (pid int, err error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, err
	}
	var other *unix.Ucred
	errControl := raw.Control(func(fd uintptr) {
		other, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	})
	if err := errors.Join(errControl, err); err != nil {
		return 0, fmt.Errorf("ask who is at the other end of a socket: %w", err)
	}
	return int(other.Pid), nil
}

// Pair returns the two ends of a connection; the second is for another process.
func Pair() (*Conn, *os.File, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, socketType, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("make a pair of sockets: %w", err)
	}
	return &Conn{File: newFile(fds[0])}, newFile(fds[1]), nil
}

// FromDescriptor makes a connection from a socket that this process inherited.
func FromDescriptor(fd int) (*Conn, error) {
	_, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
	if err := errors.Join(err, unix.SetNonblock(fd, true)); err != nil {
		return nil, fmt.Errorf("use descriptor %d as a socket: %w", fd, err)
	}
	unix.CloseOnExec(fd)
	return &Conn{File: newFile(fd)}, nil
}

// A socket's path has at most 108 bytes, unix(7), but a store's may be longer.
// So the socket is named through a descriptor for its directory.
func inDir(path string, use func(fd int, short string) error) (fd int, err error) {
	dir, err := os.OpenFile(filepath.Dir(path), unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return -1, err
	}
	defer dir.Close()
	fd, err = unix.Socket(unix.AF_UNIX, socketType, 0)
	if err != nil {
		return -1, fmt.Errorf("make a socket: %w", err)
	}
	if err := use(fd, fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), filepath.Base(path))); err != nil {
		return -1, errors.Join(err, unix.Close(fd))
	}
	return fd, nil
}

// A Listener is a socket that others can connect to.
type Listener struct{ *os.File }

// Listen makes a socket, replacing one that a dead process left behind.
func Listen(path string) (*Listener, error) {
	fd, err := inDir(path, func(fd int, short string) error {
		if err := os.Remove(short); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		if err := unix.Bind(fd, &unix.SockaddrUnix{Name: short}); err != nil {
			return err
		}
		return unix.Listen(fd, unix.SOMAXCONN)
	})
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	return &Listener{newFile(fd)}, nil
}

// Accept waits for the next connection.
func (l *Listener) Accept() (*Conn, error) {
	raw, err := l.SyscallConn()
	if err != nil {
		return nil, err
	}
	fd := -1
	err = try(raw.Read, func(listener int) (err error) {
		fd, _, err = unix.Accept4(listener, unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &Conn{File: newFile(fd)}, nil
}

// Dial connects to a socket. The error is that of connect(2), or Is
// fs.ErrNotExist.
func Dial(path string) (*Conn, error) {
	fd, err := inDir(path, func(fd int, short string) error {
		if err := unix.Connect(fd, &unix.SockaddrUnix{Name: short}); err != nil {
			return &os.PathError{Op: "connect to", Path: path, Err: err}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &Conn{File: newFile(fd)}, nil
}
