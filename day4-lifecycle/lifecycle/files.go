package lifecycle

import (
	"errors"
	"fmt"
	"os"
	"path"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"

	"example.com/go-docker/day4-lifecycle/rootfs"
	"example.com/go-docker/day4-lifecycle/state"
)

// Files opens the container's root, for a path in it. That of one that does not
// run is mounted for as long as the descriptor is open, and it will not start
// meanwhile. The caller calls release when done.
func (c *Container) Files(name string) (root *os.File, release func() error, err error) {
	if c.State.Live() {
		root, err = c.Root()
		if !errors.Is(err, ErrNotRunning) {
			return root, func() error { return root.Close() }, err
		}
	}
	held, err := c.lock()
	if err != nil {
		return nil, nil, err
	}
	config, err := state.ReadConfig(c.Dir)
	if err == nil {
		err = outsideVolumes(config.Container.Root, name)
	}
	if err == nil {
		root, err = mounted(config.Container.Root.Overlay)
	}
	if err != nil {
		return nil, nil, errors.Join(err, held.Close())
	}
	return root, func() error { return errors.Join(root.Close(), held.Close()) }, nil
}

// outsideVolumes makes sure that a path is not in a volume, which is mounted
// only while the container runs.
func outsideVolumes(r *rootfs.Root, name string) error {
	var targets []string
	for _, v := range r.Volumes {
		targets = append(targets, v.Target)
	}
	for _, v := range r.ImageVolumes {
		targets = append(targets, v.Target)
	}
	for _, target := range targets {
		if strings.HasPrefix(path.Clean("/"+name)+"/", path.Clean(target)+"/") {
			return fmt.Errorf("%s is in the volume %s, which is there only while the container runs: start it first", name, target)
		}
	}
	return nil
}

// mounted mounts a root where nobody sees it. The mount namespace ends with its
// only thread; the mount, with the last descriptor in it.
func mounted(overlay rootfs.Overlay) (root *os.File, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked, so the thread ends
		if err = unix.Unshare(unix.CLONE_NEWNS); err != nil {
			err = fmt.Errorf("make a mount namespace: %w", err)
			return
		}
		if err = rootfs.MakeMountsPrivate(); err != nil {
			return
		}
		if err = overlay.Mount(); err != nil {
			return
		}
		root, err = os.OpenFile(overlay.Merged, unix.O_PATH|unix.O_DIRECTORY, 0)
	}()
	<-done
	return root, err
}
