package container

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// HideDescriptors marks everything but standard input, output and error to be
// closed on exec. The parent does it, because a descriptor that its caller
// forgot to close must not give the command a way out (CVE-2024-21626), and
// init, because the pipes are none of the command's business.
func HideDescriptors() error {
	if err := unix.CloseRange(3, 1<<32-1, unix.CLOSE_RANGE_CLOEXEC); err != nil { // Linux 5.11
		return fmt.Errorf("hide open descriptors: %w", err)
	}
	return nil
}
