package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"example.com/go-docker/day5-networks/durable"
)

// Sync writes the whole store to disk before index.json refers to new blobs and
// layers: once for an image, not for each of its thousands of files. Blobs and
// layers that no image refers to are not trusted after a reboot.
func (s *Store) Sync() error { return durable.Sync(s.Root) }

// forgetUnfinished removes what unfinished pulls have left if the machine was
// booted since an image was last added, because a power cut may have damaged
// it. The caller holds the lock.
func (s *Store) forgetUnfinished() error {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return fmt.Errorf("find out when the machine was booted: %w", err)
	}
	last, err := os.ReadFile(s.Path("boot"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if string(last) == string(boot) {
		return nil
	}
	if err := errors.Join(s.collect(), s.sweep()); err != nil {
		return err
	}
	return durable.Replace(s.Path("boot"), boot)
}
