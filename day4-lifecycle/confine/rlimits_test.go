package confine

import (
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// Where one limit cannot be restored, the others are all the same.
func TestRestoreRlimits(t *testing.T) {
	var files, queue unix.Rlimit
	for resource, limit := range map[int]*unix.Rlimit{unix.RLIMIT_NOFILE: &files, unix.RLIMIT_MSGQUEUE: &queue} {
		if err := unix.Getrlimit(resource, limit); err != nil {
			t.Fatal(err)
		}
		// On a thread that still has all capabilities.
		t.Cleanup(func() { _ = unix.Setrlimit(resource, limit) })
	}
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends, and its capabilities with it
		done <- func() error {
			header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
			var data [2]unix.CapUserData
			if err := unix.Capget(&header, &data[0]); err != nil {
				return err
			}
			data[unix.CAP_SYS_RESOURCE/32].Effective &^= 1 << (unix.CAP_SYS_RESOURCE % 32)
			if err := unix.Capset(&header, &data[0]); err != nil {
				return err
			}
			restore, err := SetRlimits([]Rlimit{
				{unix.RLIMIT_NOFILE, files.Max - 1, files.Max},
				{unix.RLIMIT_MSGQUEUE, queue.Max - 1, queue.Max - 1},
			})
			if err != nil {
				return err
			}
			return restore()
		}()
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	var now unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &now); err != nil || now != files {
		t.Errorf("RLIMIT_NOFILE is %+v (%v), want %+v", now, err, files)
	}
	if err := unix.Getrlimit(unix.RLIMIT_MSGQUEUE, &now); err != nil || now.Max != queue.Max-1 {
		t.Errorf("RLIMIT_MSGQUEUE is %+v (%v): nothing kept it from being restored, so this test shows nothing", now, err)
	}
}
