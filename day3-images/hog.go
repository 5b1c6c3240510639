package main

import (
	"fmt"
	"time"

	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"
)

// hogCommand is the demo's payload: it wants memory and nothing else.
var hogCommand = &cli.Command{
	Name:      "hog",
	Hidden:    true,
	Usage:     "allocate memory, touch every page, hold it",
	ArgsUsage: "SIZE",
	Flags: []cli.Flag{
		&cli.DurationFlag{Name: "pause", Usage: "rest after each 4 MiB"},
		&cli.DurationFlag{Name: "hold", Usage: "keep it all for this long"},
	},
	Action: func(ctx *cli.Context) error {
		size, err := parseBytes(ctx.Args().First())
		if err != nil {
			return fmt.Errorf("invalid SIZE %q: %w", ctx.Args().First(), err)
		}
		return hog(int(size), ctx.Duration("pause"), ctx.Duration("hold"))
	},
}

// hog maps size bytes and writes to every page. Mapping alone costs nothing:
// the kernel charges a page to the cgroup when it is first written to.
func hog(size int, pause, hold time.Duration) error {
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
