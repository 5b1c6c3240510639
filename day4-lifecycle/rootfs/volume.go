package rootfs

import (
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"strings"

	"example.com/go-docker/day4-lifecycle/mountfd"
	"golang.org/x/sys/unix"
)

// A Volume is a directory or file of the host in the container: -v.
type Volume struct {
	Source   string // absolute, on the host
	Target   string // absolute, in the container
	ReadOnly bool
	Tmpfs    *Tmpfs // in place of Source and ReadOnly, if not nil
}

// ParseVolume reads -v's SOURCE:TARGET or SOURCE:TARGET:ro. It cleans both paths
// and looks at no file: Docker makes a missing source a directory, and so may the
// caller, when the container is about to start.
func ParseVolume(s string) (Volume, error) {
	parts := strings.Split(s, ":")
	v := Volume{}
	switch {
	case len(parts) == 3 && parts[2] == "ro":
		v.ReadOnly = true
	case len(parts) == 3 && parts[2] == "rw":
	case len(parts) != 2:
		return v, errors.New("want SOURCE:TARGET or SOURCE:TARGET:ro")
	}
	v.Source, v.Target = parts[0], parts[1]
	if !filepath.IsAbs(v.Source) {
		return v, fmt.Errorf("source %q is not an absolute path (named volumes are not for this chapter)", v.Source)
	}
	err := checkTarget(v.Target)
	v.Source, v.Target = filepath.Clean(v.Source), path.Clean(v.Target)
	return v, err
}

func checkTarget(target string) error {
	if !path.IsAbs(target) || path.Clean(target) == "/" {
		return fmt.Errorf("target %q: want an absolute path other than /", target)
	}
	return nil
}

func (r *Root) mountVolumes(tree mountfd.Tree) error {
	for _, v := range r.Volumes {
		if v.Tmpfs != nil {
			if err := v.Tmpfs.mount(tree, v.Target); err != nil {
				return fmt.Errorf("tmpfs %s: %w", v.Target, err)
			}
			continue
		}
		var attributes uint64
		if v.ReadOnly {
			attributes = unix.MOUNT_ATTR_RDONLY
		}
		if err := tree.Bind(v.Source, v.Target, attributes); err != nil {
			return fmt.Errorf("volume %s: %w", v.Source, err)
		}
	}
	return nil
}
