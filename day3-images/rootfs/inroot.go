package rootfs

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// openat2 tries again after EAGAIN: then something was renamed or mounted
// meanwhile, anywhere on this machine, and the kernel cannot be sure that ..
// stayed inside.
func openat2(dirfd int, path string, how *unix.OpenHow) (int, error) {
	const maxTries = 1000
	for try := 0; ; try++ {
		fd, err := unix.Openat2(dirfd, path, how)
		if err != unix.EAGAIN && err != unix.EINTR || try == maxTries {
			return fd, err
		}
	}
}

func readlink(dirfd int, name string) (string, error) {
	buffer := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(dirfd, name, buffer)
	if err != nil {
		return "", err
	}
	return string(buffer[:n]), nil
}

// fdPath names what is open as a path, for calls that take nothing else.
func fdPath(fd int) string { return fmt.Sprintf("/proc/self/fd/%d", fd) }
