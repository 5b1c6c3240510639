package rootfs

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"example.com/go-docker/day5-networks/mountfd"
	"golang.org/x/sys/unix"
)

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
