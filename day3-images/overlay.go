package main

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// An overlay is the container's file system: the image's layers, read-only and
// shared by all its containers, and on top one directory that takes every
// change. Documentation/filesystems/overlayfs.rst
type overlay struct {
	Layers []string // the image's, lowest first
	Upper  string   // what the container changes
	Work   string   // the kernel's, on the same file system as Upper
	Merged string   // where it is mounted
}

// mount mounts the overlay. The options of mount(2) must fit in one page, and
// fifty layers' names do not: so the layers are opened, and named by their
// descriptors.
func (o overlay) mount() error {
	var names []string
	for _, dir := range slices.Backward(o.Layers) { // overlayfs wants the uppermost first
		layer, err := os.OpenFile(dir, unix.O_PATH|unix.O_DIRECTORY, 0)
		if err != nil {
			return fmt.Errorf("open a layer of the image: %w", err)
		}
		defer layer.Close()
		names = append(names, fmt.Sprintf("/proc/self/fd/%d", layer.Fd()))
	}
	options := fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", strings.Join(names, ":"), o.Upper, o.Work)
	if err := unix.Mount("overlay", o.Merged, "overlay", 0, options); err != nil {
		return fmt.Errorf("mount overlay on %s (%s): %w", o.Merged, options, err)
	}
	return nil
}
