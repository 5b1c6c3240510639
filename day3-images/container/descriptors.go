package container

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// hideDescriptors marks every descriptor except standard input, output and
// error close-on-exec. The parent calls it because a descriptor leaked by its
// caller could give the command a way out (CVE-2024-21626); init calls it
// because the command must not inherit the pipes.
func hideDescriptors() error {
	if err := unix.CloseRange(3, 1<<32-1, unix.CLOSE_RANGE_CLOEXEC); err != nil { // Linux 5.11
		return fmt.Errorf("hide open descriptors: %w", err)
	}
	return nil
}
