package demo

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// Hog is the demo's payload, which wants memory and nothing else: it maps size
// bytes and writes to every page. Mapping alone costs nothing: the kernel
// charges a page to the cgroup when it is first written to.
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
