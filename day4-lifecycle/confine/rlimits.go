package confine

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// An Rlimit is one of a process's resource limits, getrlimit(2).
type Rlimit struct {
	Resource   int    // unix.RLIMIT_*
	Soft, Hard uint64 // unix.RLIM_INFINITY: none
}

// SetRlimits sets limits on this process for the command to inherit. They
// belong to the process and not to a thread, so an init that lives on must
// restore its own.
func SetRlimits(limits []Rlimit) (restore func() error, err error) {
	var before []Rlimit
	for _, l := range limits {
		var old unix.Rlimit
		if err := unix.Prlimit(0, l.Resource, &unix.Rlimit{Cur: l.Soft, Max: l.Hard}, &old); err != nil {
			return nil, fmt.Errorf("set limit %d of getrlimit(2) to %d:%d: %w", l.Resource, int64(l.Soft), int64(l.Hard), err)
		}
		before = append([]Rlimit{{l.Resource, old.Cur, old.Max}}, before...)
	}
	return func() (err error) {
		for _, l := range before {
			_, failed := SetRlimits([]Rlimit{l})
			// Without CAP_SYS_RESOURCE a hard limit cannot be raised again, and
			// init has to live with the command's.
			if !errors.Is(failed, unix.EPERM) {
				err = errors.Join(err, failed)
			}
		}
		return err
	}, nil
}
