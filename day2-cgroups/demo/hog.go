package demo

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// Hog is the demo's payload. It maps size bytes and writes to every page:
// mapping alone costs nothing, because the kernel charges a page to the cgroup
// only when it is first written to.
func Hog(size int, pause, hold time.Duration) error {
	memory, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return fmt.Errorf("map %d bytes: %w", size, err)
	}
	const chunk, page = 4 << 20, 4 << 10
	for i := 0; i < size; i += page {
		memory[i] = 1
		if i%chunk == chunk-page {
			time.Sleep(pause)
		}
	}
	time.Sleep(hold)
	return unix.Munmap(memory)
}
