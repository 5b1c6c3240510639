package container

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// hideDescriptors marks every descriptor except standard input, output and
// error close-on-exec. The parent calls it because a descriptor leaked by its
// caller could give the command a way out (CVE-2024-21626); init calls it
// because the command must not inherit the pipes.
func hideDescriptors() error {
	const first, last = 3, 1<<32 - 1
	err := unix.CloseRange(first, last, unix.CLOSE_RANGE_CLOEXEC)
	if err == nil {
		return nil
	}
	if !errors.Is(err, unix.ENOSYS) && !errors.Is(err, unix.EINVAL) {
		return fmt.Errorf("hide open descriptors: %w", err)
	}
	// Linux before 5.11.
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return fmt.Errorf("list open descriptors: %w", err)
	}
	for _, e := range entries {
		var fd int
		if _, err := fmt.Sscan(e.Name(), &fd); err == nil && fd >= first {
			unix.CloseOnExec(fd)
		}
	}
	return nil
}
