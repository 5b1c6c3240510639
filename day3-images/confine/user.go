package confine

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"syscall"

	"github.com/moby/sys/user"
	"golang.org/x/sys/unix"
)

// LookUpUser turns a user, like "www-data", "1000" or "1000:staff", into ids,
// and returns env with the user's HOME added if it has none. "" is root. Names
// are looked up in /etc/passwd and /etc/group, so the container's root must be
// entered first.
func LookUpUser(spec string, env []string) (*syscall.Credential, []string, error) {
	passwd, err1 := openAccounts("/etc/passwd")
	group, err2 := openAccounts("/etc/group")
	if err := cmp.Or(err1, err2); err != nil {
		return nil, nil, fmt.Errorf("user %q in the container: %w", spec, err)
	}
	u, err := user.GetExecUser(spec, &user.ExecUser{Home: "/"}, passwd, group)
	if err != nil {
		return nil, nil, fmt.Errorf("user %q in the container: %w", spec, err)
	}
	// The primary group is among the supplementary groups, too, so that a
	// setgid program cannot take the user out of it (CVE-2022-36109).
	credential := &syscall.Credential{Uid: uint32(u.Uid), Gid: uint32(u.Gid), Groups: []uint32{uint32(u.Gid)}}
	for _, gid := range u.Sgids {
		credential.Groups = append(credential.Groups, uint32(gid))
	}
	if !slices.ContainsFunc(env, func(e string) bool { return strings.HasPrefix(e, "HOME=") }) {
		env = append(slices.Clip(env), "HOME="+u.Home)
	}
	return credential, env, nil
}

// openAccounts opens the image's passwd or group, or returns nil if there is
// none. The image decides what is there. Without O_NONBLOCK, opening a FIFO
// would wait for a writer, and a link may lead to /proc/kmsg, which claims to
// be a regular file but is the host's log.
func openAccounts(name string) (io.Reader, error) {
	const maxSize = 4 << 20
	file, err := os.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var in unix.Statfs_t
	info, err1 := file.Stat()
	err2 := unix.Fstatfs(int(file.Fd()), &in)
	if err := cmp.Or(err1, err2); err != nil {
		return nil, err
	}
	switch {
	case !info.Mode().IsRegular() || in.Type == unix.PROC_SUPER_MAGIC || in.Type == unix.SYSFS_MAGIC:
		return nil, &fs.PathError{Op: "read", Path: name, Err: errors.New("not a regular file")}
	case info.Size() > maxSize:
		return nil, &fs.PathError{Op: "read", Path: name, Err: fmt.Errorf("%d bytes are too many: at most %d", info.Size(), maxSize)}
	}
	text, err := io.ReadAll(io.LimitReader(file, maxSize))
	return bytes.NewReader(text), err
}

// BecomeUser switches the whole process to the user, for --init=false, where it
// becomes the command.
func BecomeUser(u *syscall.Credential) error {
	groups := make([]int, len(u.Groups))
	for i, gid := range u.Groups {
		groups[i] = int(gid)
	}
	// The user comes last: who is not root may change none of them.
	err := syscall.Setgroups(groups)
	if err == nil {
		err = syscall.Setgid(int(u.Gid))
	}
	if err == nil {
		err = syscall.Setuid(int(u.Uid))
	}
	if err != nil {
		return fmt.Errorf("become user %d in groups %v: %w", u.Uid, groups, err)
	}
	return nil
}
