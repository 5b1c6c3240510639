package join

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// openTerminal makes a pseudo-terminal in the container's own devpts, so that
// it has a name there and tty(1) finds it. This thread is inside the container,
// which may have put anything at the path that it opens. pty(7), devpts(4)
func openTerminal(c Command) (master, slave *os.File, err error) {
	const path = "/dev/pts/ptmx"
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	master = os.NewFile(uintptr(fd), path)
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("make a terminal in the container: %w", err), master.Close())
		}
	}()
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, nil, err
	}
	if ptmx := unix.Mkdev(5, 2); st.Mode&unix.S_IFMT != unix.S_IFCHR || st.Rdev != ptmx {
		return nil, nil, fmt.Errorf("%s is something else", path)
	}
	size := unix.Winsize{Row: c.Rows, Col: c.Columns}
	err = errors.Join(unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0), unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &size))
	if err != nil {
		return nil, nil, err
	}
	// Not opened by name, because the name could lead elsewhere. ioctl_tty(2)
	peer, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.TIOCGPTPEER, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC)
	if errno != 0 {
		return nil, nil, fmt.Errorf("open its other end: %w", errno)
	}
	return master, os.NewFile(peer, "slave"), nil
}
