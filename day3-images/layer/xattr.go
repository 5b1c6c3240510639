package layer

import (
	"archive/tar"
	"fmt"
	"maps"
	"slices"
	"strings"

	"example.com/go-docker/day3-images/inroot"
	"example.com/go-docker/day3-images/xattr"
	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"
)

func (u *Unpacker) setXattrs(dirfd int, base string, hdr *tar.Header) error {
	fd := -1
	for _, key := range slices.Sorted(maps.Keys(hdr.PAXRecords)) {
		name, is := strings.CutPrefix(key, xattr.Record)
		if !is || !xattr.OfImage(name) {
			continue
		}
		if fd < 0 {
			var err error
			if fd, err = xattr.Open(dirfd, base); err != nil {
				return err
			}
			defer unix.Close(fd)
		}
		err := unix.Setxattr(inroot.FdPath(fd), name, []byte(hdr.PAXRecords[key]), 0)
		if err == unix.ENOTSUP {
			if !u.warned {
				logrus.Warnf("layer entry %.200q: the file system of the store cannot keep the extended attribute %q: left out, and so are more like it", hdr.Name, name)
			}
			u.warned = true
			continue
		}
		if err != nil {
			return fmt.Errorf("set the extended attribute %.100q: %w", name, err)
		}
		u.inheritACL = u.inheritACL || name == "system.posix_acl_default"
	}
	return nil
}
