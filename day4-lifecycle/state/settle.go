package state

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"example.com/go-docker/day4-lifecycle/boot"
	"example.com/go-docker/day4-lifecycle/inventory"
	"example.com/go-docker/day4-lifecycle/lock"
)

// Settle is for who has the lock, if only as one of many: it returns the state,
// and corrects it if it speaks of a shim, which must be dead. A correction that
// cannot be recorded is made again by the next who reads. What has no state is a
// container of day 3, whose store this may be: while one of ours has none yet,
// its maker has the lock, and who removes one begins with the description.
func Settle(dir string) (*State, error) {
	s, err := read(dir)
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Stat(filepath.Join(dir, inventory.Description)); err == nil {
			return &State{Status: Exited}, nil
		}
	}
	if err != nil || !s.Live() {
		return s, err
	}
	thisBoot, err := boot.ID()
	if err != nil {
		return nil, err
	}
	s.ExitCode, s.Error = killedStatus, fmt.Sprintf("its shim (process %d) was killed, and it with it", s.ShimPID)
	if s.BootID != thisBoot {
		s.ExitCode, s.Error = lostStatus, "the machine was stopped while it was running"
	}
	if s.Status == Restarting {
		s.Error = fmt.Sprintf("its shim (process %d) was killed before it could restart it", s.ShimPID)
	}
	s.Status, s.PID, s.ShimPID, s.FinishedAt, s.Settled = Exited, 0, 0, time.Now().UTC(), true
	_ = Write(dir, s) // a full disk, or one that is read-only, does not change what is true
	return s, nil
}

// TryLock locks a container that has no shim: it will not start meanwhile. The
// error Is lock.ErrHeld if somebody else has it. The state is settled first:
// one that speaks of a shim while the lock is another's alone is to be believed.
func TryLock(dir string) (*os.File, error) {
	held, err := lock.Probe(filepath.Join(dir, inventory.Lock))
	if err != nil {
		return nil, err
	}
	if _, err = Settle(dir); err == nil {
		err = lock.TryFile(held) // from shared to exclusive
	}
	if err == nil { // the kernel gives up the one lock before the other, and a shim may have come and gone
		_, err = Settle(dir)
	}
	if err != nil {
		return nil, errors.Join(err, held.Close())
	}
	return held, nil
}
