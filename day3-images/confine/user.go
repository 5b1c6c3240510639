package confine

import (
	"fmt"
	"slices"
	"strings"
	"syscall"

	"github.com/moby/sys/user"
)

// LookUpUser turns a user, like "www-data", "1000" or "1000:staff", into ids,
// and returns env with the user's HOME added if it has none. "" is root. Names
// are looked up in /etc/passwd and /etc/group, so the root has to be entered
// before.
func LookUpUser(spec string, env []string) (*syscall.Credential, []string, error) {
	u, err := user.GetExecUserPath(spec, &user.ExecUser{Home: "/"}, "/etc/passwd", "/etc/group")
	if err != nil {
		return nil, nil, fmt.Errorf("user %q in the container: %w", spec, err)
	}
	// The group itself is among the supplementary ones, too: a setgid program
	// that drops its group must not leave the user without it (CVE-2022-36109).
	credential := &syscall.Credential{Uid: uint32(u.Uid), Gid: uint32(u.Gid), Groups: []uint32{uint32(u.Gid)}}
	for _, gid := range u.Sgids {
		credential.Groups = append(credential.Groups, uint32(gid))
	}
	if !slices.ContainsFunc(env, func(e string) bool { return strings.HasPrefix(e, "HOME=") }) {
		env = append(slices.Clip(env), "HOME="+u.Home)
	}
	return credential, env, nil
}

// BecomeUser switches this whole process to the user: for --init=false, when it
// becomes the command.
func BecomeUser(u *syscall.Credential) error {
	groups := make([]int, len(u.Groups))
	for i, gid := range u.Groups {
		groups[i] = int(gid)
	}
	if err := syscall.Setgroups(groups); err != nil {
		return fmt.Errorf("set groups %v: %w", groups, err)
	}
	if err := syscall.Setgid(int(u.Gid)); err != nil {
		return fmt.Errorf("set gid %d: %w", u.Gid, err)
	}
	if err := syscall.Setuid(int(u.Uid)); err != nil {
		return fmt.Errorf("set uid %d: %w", u.Uid, err)
	}
	return nil
}
