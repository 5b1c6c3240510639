package main

import (
	"fmt"
	"os"
	"strings"
	"syscall"

	"github.com/moby/sys/user"
)

// lookUpUser turns the container's user, like "www-data", "1000" or
// "1000:staff", into ids. Names are looked up in the container's own passwd
// and group, so this comes after the root has been entered.
func (c *Container) lookUpUser() (*syscall.Credential, error) {
	u, err := user.GetExecUserPath(c.User, &user.ExecUser{Home: "/"}, "/etc/passwd", "/etc/group")
	if err != nil {
		return nil, fmt.Errorf("user %q in the container: %w", c.User, err)
	}
	// The group itself is among the supplementary ones, too: a setgid program
	// that drops its group must not leave the user without it (CVE-2022-36109).
	credential := &syscall.Credential{Uid: uint32(u.Uid), Gid: uint32(u.Gid), Groups: []uint32{uint32(u.Gid)}}
	for _, gid := range u.Sgids {
		credential.Groups = append(credential.Groups, uint32(gid))
	}
	for _, e := range c.Env {
		if strings.HasPrefix(e, "HOME=") {
			return credential, nil
		}
	}
	c.Env = append(c.Env, "HOME="+u.Home)
	return credential, nil
}

// takeUser switches this whole process to the user: for --init=false, when it
// becomes the command.
func takeUser(u *syscall.Credential) error {
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

// enterWorkdir changes to the working directory. Getwd proves that it is in the
// container: a descriptor of the host, reached through /proc, would have no
// path here (CVE-2024-21626).
func enterWorkdir(dir string) error {
	if err := os.Chdir(dir); err != nil {
		return fmt.Errorf("change to the working directory: %w", err)
	}
	if _, err := syscall.Getwd(); err != nil {
		return fmt.Errorf("the working directory %s is outside the container: %w", dir, err)
	}
	return nil
}
