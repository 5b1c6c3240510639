package rootfs

import (
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"example.com/go-docker/day5-networks/inroot"
	"example.com/go-docker/day5-networks/mountfd"
	"golang.org/x/sys/unix"
)

// A Volume is a directory or file of the host in the container (-v).
type Volume struct {
	Source   string // absolute, on the host
	Target   string // absolute, in the container
	ReadOnly bool
	Tmpfs    *Tmpfs // replaces Source and ReadOnly if not nil
}

// ParseVolume reads -v's SOURCE:TARGET or SOURCE:TARGET:ro. It cleans both
// paths but looks at no files: like Docker, the caller can make a missing
// source directory when the container is about to start.
func ParseVolume(s string) (Volume, error) {
	source, rest, hasTarget := strings.Cut(s, ":")
	target, mode, hasMode := strings.Cut(rest, ":")
	v := Volume{Source: source, Target: target, ReadOnly: mode == "ro"}
	if !hasTarget || hasMode && mode != "ro" && mode != "rw" {
		return v, errors.New("want SOURCE:TARGET or SOURCE:TARGET:ro")
	}
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

// An ImageVolume is a directory that the image declares with VOLUME: what is
// written there does not belong to the container, and so is not in a commit.
type ImageVolume struct {
	Target      string // in the container
	Upper, Work string // on the host, like an Overlay's

	image *os.File // the image's own directory there
}

// openImageVolumes opens the image's directories for its volumes before
// anything is mounted there. Otherwise VOLUME /sys would be an overlay of the
// host's /sys, without our masks, and many images with systemd have VOLUME
// /sys/fs/cgroup. And a volume in a volume would be an overlay on top of two
// others, but the kernel stacks at most two.
func (r *Root) openImageVolumes(tree mountfd.Tree) error {
	for i, v := range r.ImageVolumes {
		image, err := tree.Ensure(v.Target, true)
		if err != nil {
			return fmt.Errorf("the image's volume %s: %w", v.Target, err)
		}
		r.ImageVolumes[i].image = image
	}
	return nil
}

// mountImageVolumes mounts a second overlay on each of them, which starts with
// the image's content, as Docker's volumes do, and takes the changes.
func (r *Root) mountImageVolumes(tree mountfd.Tree) error {
	for _, v := range r.ImageVolumes {
		if err := v.mount(tree); err != nil {
			return fmt.Errorf("the image's volume %s: %w", v.Target, err)
		}
	}
	return nil
}

func (v ImageVolume) mount(tree mountfd.Tree) error {
	defer v.image.Close()
	var stat unix.Stat_t
	if err := unix.Fstat(int(v.image.Fd()), &stat); err != nil {
		return err
	}
	// The upper directory becomes the volume's top: it must look like the
	// image's.
	if err := errors.Join(os.Chown(v.Upper, int(stat.Uid), int(stat.Gid)), unix.Chmod(v.Upper, stat.Mode&0o7777)); err != nil {
		return err
	}
	place, err := tree.MountPoint(v.Target, true)
	if err != nil {
		return err
	}
	defer place.Close()
	o := Overlay{Layers: []string{inroot.FdPath(int(v.image.Fd()))}, Upper: v.Upper, Work: v.Work, Merged: inroot.FdPath(int(place.Fd()))}
	if err := o.Mount(); err != nil {
		return err
	}
	mounted, err := tree.Open(v.Target, 0) // place is still the directory below the mount
	if err != nil {
		return err
	}
	defer mounted.Close()
	return o.checkWritable(mounted)
}

// OutsideVolumes makes sure that a path in the container is not in a volume,
// which is mounted only while the container runs.
func (r *Root) OutsideVolumes(name string) error {
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

// A Tmpfs is a volume without a Source: a new file system in memory.
type Tmpfs struct {
	Attributes int      // unix.MOUNT_ATTR_*
	Options    []string // like size=64m, tmpfs(5)
}

var (
	tmpfsAttributes = map[string]int{
		"ro": unix.MOUNT_ATTR_RDONLY, "noexec": unix.MOUNT_ATTR_NOEXEC, "nosuid": unix.MOUNT_ATTR_NOSUID, "nodev": unix.MOUNT_ATTR_NODEV,
	}
	tmpfsOptions = []string{"size", "mode", "uid", "gid", "nr_inodes", "nr_blocks"}
)

// ParseTmpfs reads --tmpfs's PATH or PATH:OPTIONS, like /run:size=64m,exec. The
// kernel checks the values.
func ParseTmpfs(s string) (Volume, error) {
	target, options, _ := strings.Cut(s, ":")
	t := &Tmpfs{Attributes: mountfd.Harmless}
	for option := range strings.SplitSeq(options, ",") {
		key, _, hasValue := strings.Cut(option, "=")
		switch {
		case option == "" || option == "rw":
		case tmpfsAttributes[option] != 0:
			t.Attributes |= tmpfsAttributes[option]
		case tmpfsAttributes["no"+option] != 0:
			t.Attributes &^= tmpfsAttributes["no"+option]
		case hasValue && slices.Contains(tmpfsOptions, key):
			t.Options = append(t.Options, option)
		default:
			return Volume{}, fmt.Errorf("unknown option %q: there are ro, rw, [no]exec, [no]suid, [no]dev and %s", option, strings.Join(tmpfsOptions, "=, ")+"=")
		}
	}
	return Volume{Target: path.Clean(target), Tmpfs: t}, checkTarget(target)
}

// mount mounts the tmpfs. It gets the mode of the image's directory there;
// without one, it is for everybody.
func (t *Tmpfs) mount(tree mountfd.Tree, target string) error {
	options := t.Options
	if there, err := tree.Open(target, 0); err == nil {
		defer there.Close()
		var stat unix.Stat_t
		if err := unix.Fstat(int(there.Fd()), &stat); err != nil {
			return err
		}
		options = append([]string{fmt.Sprintf("mode=%o", stat.Mode&0o7777)}, options...)
	}
	mount, err := mountfd.New("tmpfs", t.Attributes, options...)
	if err != nil {
		return err
	}
	defer mount.Close()
	return tree.Attach(mount, target)
}
