package main

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// boxEnv names the box's directory to the program that enterBox executes.
const boxEnv = "LEAKCHECK_BOX"

// storeName is in /run. It begins with no name of ours, which steps and pages look for.
const storeName = "tests.store"

// A sandbox is the place where the command runs. What is in it is the command's.
type sandbox struct {
	dir     string // on the machine's disk; holds all of the below
	temp    string // the command's TMPDIR
	covered bool   // /tmp is, and hides dir
	private bool   // the mount, network and IPC namespaces are the box's own, and /tmp, /run and /dev/shm with them
}

// enterBox puts this process into namespaces of its own and executes the
// program again, which then finds boxEnv set. It returns only with an error.
// Whoever may not make namespaces gets a box without: a plain user can make
// neither mounts nor links outside of a namespace that dies with its processes.
func enterBox() error {
	dir, err := os.MkdirTemp("", "go-docker-box-")
	if err != nil {
		return err
	}
	private := "private"
	// A namespace is a thread's, and so is the process that execve(2) makes.
	runtime.LockOSThread()
	err = unix.Unshare(unix.CLONE_NEWNS | unix.CLONE_NEWNET | unix.CLONE_NEWIPC)
	if errors.Is(err, unix.EPERM) {
		private, err = "plain", nil
	}
	if err == nil {
		err = os.Setenv(boxEnv, private+":"+dir)
	}
	if err == nil {
		err = unix.Exec("/proc/self/exe", os.Args, os.Environ())
	}
	return errors.Join(fmt.Errorf("make a box: %w", err), os.RemoveAll(dir))
}

// openBox furnishes the box that enterBox has made. keep are directories that
// must stay where they are although they are below /tmp.
func openBox(keep []string) (*sandbox, error) {
	kind, dir, _ := strings.Cut(os.Getenv(boxEnv), ":")
	b := &sandbox{dir: dir, temp: filepath.Join(dir, "tmp"), private: kind == "private"}
	if err := os.Unsetenv(boxEnv); err != nil { // the command may run leakcheck, too
		return nil, err
	}
	for name, mode := range map[string]os.FileMode{"tmp": 0o777 | os.ModeSticky, "run": 0o700, "store": 0o700} {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.Mkdir(path, 0o700), os.Chmod(path, mode)); err != nil {
			return nil, err
		}
	}
	store := filepath.Join(dir, "store")
	if b.private {
		if err := b.furnish(keep); err != nil {
			return nil, errors.Join(err, b.close())
		}
		b.temp, store = "/tmp", "/run/"+storeName
	} else if err := os.Setenv("XDG_RUNTIME_DIR", filepath.Join(dir, "run")); err != nil {
		return nil, err
	}
	return b, errors.Join(os.Setenv("TMPDIR", b.temp), os.Setenv("GO_DOCKER_ROOT", store))
}

// furnish covers the directories in which the machine's programs and the
// command would meet. /run keeps what it has, without our records.
func (b *sandbox) furnish(keep []string) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make the mounts private: %w", err)
	}
	if err := coverRun(b.dir); err != nil {
		return err
	}
	cwd, err := os.Getwd()
	if err != nil {
		return err
	}
	if err := b.coverTmp(filepath.Join(b.dir, "tmp"), append(keep, cwd)); err != nil {
		return err
	}
	if err := os.Chdir(cwd); err != nil && !errors.Is(err, os.ErrNotExist) { // the same place, but what is above it is the box's
		return err
	}
	return errors.Join(mount("tmpfs", "/dev/shm", "tmpfs", 0, "mode=1777"), loopbackUp())
}

func coverRun(dir string) error {
	side, store := filepath.Join(dir, "run"), filepath.Join(dir, "run", storeName)
	if err := mount("tmpfs", side, "tmpfs", 0, "mode=755"); err != nil {
		return err
	}
	entries, err := os.ReadDir("/run")
	if err != nil {
		return err
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), "go-docker") || e.Name() == storeName { // the second: of a box around this one
			continue
		}
		if err := bind(filepath.Join("/run", e.Name()), filepath.Join(side, e.Name())); err != nil {
			return err
		}
	}
	if err := os.Mkdir(store, 0o700); err != nil {
		return err
	}
	if err := mount(filepath.Join(dir, "store"), store, "", unix.MS_BIND, ""); err != nil {
		return err
	}
	return mount(side, "/run", "", unix.MS_MOVE, "")
}

// coverTmp binds tmp over /tmp, and then the directories to keep into it. Not
// the other way round: they must never be below the directory that close removes.
func (b *sandbox) coverTmp(tmp string, keep []string) error {
	kept := map[string]int{} // where to, and an open descriptor
	for _, dir := range keep {
		if !strings.HasPrefix(filepath.Clean(dir), "/tmp/") {
			continue
		}
		fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if errors.Is(err, os.ErrNotExist) {
			continue // a current directory that somebody else has covered
		}
		if err != nil {
			return fmt.Errorf("open %s, to keep it: %w", dir, err)
		}
		defer unix.Close(fd)
		kept[filepath.Clean(dir)] = fd
	}
	if err := mount(tmp, "/tmp", "", unix.MS_BIND, ""); err != nil {
		return err
	}
	b.covered = true
	for _, dir := range slices.Sorted(maps.Keys(kept)) {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		if err := mount(fmt.Sprintf("/proc/self/fd/%d", kept[dir]), dir, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
			return err
		}
	}
	return nil
}

// bind has a file or directory appear in a second place as well.
func bind(from, to string) error {
	info, err := os.Lstat(from)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil // it has gone since we read the directory
	case err != nil:
		return err
	case info.Mode()&os.ModeSymlink != 0:
		target, err := os.Readlink(from)
		return errors.Join(err, os.Symlink(target, to))
	case info.IsDir():
		err = os.MkdirAll(to, 0o755)
	default:
		err = os.WriteFile(to, nil, 0o600)
	}
	if err != nil {
		return err
	}
	err = mount(from, to, "", unix.MS_BIND|unix.MS_REC, "")
	if errors.Is(err, os.ErrNotExist) {
		return os.Remove(to)
	}
	return err
}

func mount(source, target, fstype string, flags uintptr, options string) error {
	if err := unix.Mount(source, target, fstype, flags, options); err != nil {
		return fmt.Errorf("mount %s on %s: %w", source, target, err)
	}
	return nil
}

// loopbackUp: in a new network namespace even 127.0.0.1 is down. netdevice(7)
func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open a socket for lo: %w", err)
	}
	defer unix.Close(fd)
	request, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	request.SetUint16(unix.IFF_UP)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, request); err != nil {
		return fmt.Errorf("switch on lo: %w", err)
	}
	return nil
}

// close removes the box. What the command has left in it has been reported.
func (b *sandbox) close() error {
	if b.covered {
		if err := unix.Unmount("/tmp", unix.MNT_DETACH); err != nil {
			return fmt.Errorf("unmount the box's /tmp: %w", err)
		}
	}
	_ = unix.Unmount(filepath.Join(b.dir, "run"), unix.MNT_DETACH) // it is there if we have not come far
	mounts, err := mountinfo.GetMounts(mountinfo.PrefixFilter(b.dir))
	if err != nil {
		return err
	}
	if len(mounts) > 0 { // which may be anybody's files
		return fmt.Errorf("%s is not removed: something is mounted on %s", b.dir, mounts[0].Mountpoint)
	}
	return os.RemoveAll(b.dir)
}
