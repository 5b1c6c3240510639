package main

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"
)

// A quota is what may still be unpacked of an image. Its layers share it, and
// they are unpacked at the same time. A layer of one megabyte can hold a
// thousand times as much, or nothing but a million empty files.
type quota struct {
	bytes, entries int64
}

var (
	errTooManyBytes   = errors.New("the image unpacks to more bytes than is allowed")
	errTooManyEntries = errors.New("the image has more files than is allowed")
)

func (q *quota) takeBytes(n int64) error {
	if atomic.AddInt64(&q.bytes, -n) < 0 {
		return errTooManyBytes
	}
	return nil
}

func (q *quota) takeEntry() error {
	if atomic.AddInt64(&q.entries, -1) < 0 {
		return errTooManyEntries
	}
	return nil
}

// A meteredReader counts the tar itself, so that endless extended headers or
// zeros behind its end meet the quota too.
type meteredReader struct {
	r     io.Reader
	quota *quota
}

func (m meteredReader) Read(p []byte) (int, error) {
	n, err := m.r.Read(p)
	if over := m.quota.takeBytes(int64(n)); over != nil {
		return 0, over
	}
	return n, err
}

// unpackLayer unpacks the tar of one layer into dir, an empty directory that
// nobody else can enter, and makes it a lower directory for overlayfs. It reads
// r to its end, so that a digest taken of it is the digest of the layer. After
// an error dir is to be thrown away.
func unpackLayer(r io.Reader, dir string, q *quota) (err error) {
	u, err := newUnpacker(dir, q)
	if err != nil {
		return err
	}
	defer func() {
		if closing := u.close(); err == nil {
			err = closing
		}
	}()
	layer := meteredReader{r, q}
	archive := tar.NewReader(layer)
	for {
		hdr, err := archive.Next()
		if err == io.EOF {
			_, err = io.Copy(io.Discard, layer) // as tar(1), ignore what follows the end
			return wrap("read the layer", err)
		}
		if err != nil {
			return wrap("read the layer", explainTar(err))
		}
		if err := u.entry(hdr, archive); err != nil {
			return fmt.Errorf("layer entry %.200q: %w", hdr.Name, explainTar(err))
		}
	}
}

func explainTar(err error) error {
	switch {
	case errors.Is(err, tar.ErrHeader):
		return fmt.Errorf("%w: it is damaged, or not a tar compressed with gzip or zstd, or not compressed", err)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("%w: it was cut off", err)
	}
	return err
}

func wrap(doing string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// An unpacker makes a layer's files. What the tar says is not to be trusted: a
// name may hold links that the tar itself has made, and they may lead anywhere.
// So no path is ever given to the kernel but to openat2(2), which resolves it
// as if the layer were the root directory: for /var/run -> /run that is what
// the image means, and for x -> /etc it leads to the layer's own /etc. All
// else is done with one name in the directory that was opened so.
type unpacker struct {
	root   int // descriptor of the layer's top directory
	parent parentDir
	quota  *quota
	buffer []byte

	inheritACL bool // a directory has a default ACL: acl(5)
	warned     bool
}

// A parentDir is the directory of the last entry, which most often is also that
// of the next.
type parentDir struct {
	name  string
	fd    int              // -1: none
	times [2]unix.Timespec // to be restored: whatever is made in it changes them
}

const noParent = "" // not the name of a directory: the top is "."

func newUnpacker(dir string, q *quota) (*unpacker, error) {
	root, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: dir, Err: err}
	}
	// A tar may leave out its top directory. Without execute permission on the
	// root, nobody but root could do anything in the container.
	if err := unix.Fchmod(root, 0o755); err != nil {
		unix.Close(root)
		return nil, &os.PathError{Op: "chmod", Path: dir, Err: err}
	}
	return &unpacker{root: root, parent: parentDir{fd: -1}, quota: q, buffer: make([]byte, len(zeros))}, nil
}

func (u *unpacker) close() error {
	err := u.leave()
	unix.Close(u.root)
	return err
}

// entry makes one file. Of several entries with one name the last one wins,
// but directories keep what is in them.
func (u *unpacker) entry(hdr *tar.Header, content io.Reader) error {
	if err := u.quota.takeEntry(); err != nil {
		return err
	}
	if hdr.Typeflag == tar.TypeXGlobalHeader { // a comment, as git archive writes
		return nil
	}
	name, err := entryName(hdr.Name)
	if err != nil {
		return err
	}
	if name == "." {
		return u.top(hdr)
	}
	if err := u.enter(path.Dir(name)); err != nil {
		return err
	}
	base := path.Base(name)
	if base == opaqueMarker {
		return setOpaque(u.parent.fd, ".")
	}
	hidden, err := whiteoutOf(base)
	if err != nil {
		return err
	}
	if hidden != "" {
		return u.makeWhiteout(hidden)
	}
	return u.make(hdr, base, content)
}

// entryName returns a name relative to the layer's top, without . and empty
// parts. An absolute name is one from there. No tool that builds images writes
// a name with .. in it, and what x/.. is depends on what x is: it is refused.
func entryName(name string) (string, error) {
	if name == "" {
		return "", errors.New("it has no name")
	}
	if strings.ContainsRune(name, 0) {
		return "", errors.New("a name with a NUL byte")
	}
	clean := path.Clean("/" + name)[1:]
	parts := strings.Split(clean, "/")
	for _, part := range parts[:len(parts)-1] {
		if strings.HasPrefix(part, whiteoutPrefix) {
			return "", fmt.Errorf("a whiteout (%.100q) is not a directory", part)
		}
	}
	if slices.Contains(strings.Split(name, "/"), "..") {
		return "", errors.New("a name with .. in it may lead out of the layer: refused")
	}
	if clean == "" {
		clean = "."
	}
	return clean, nil
}

func (u *unpacker) make(hdr *tar.Header, base string, content io.Reader) error {
	switch hdr.Typeflag {
	case tar.TypeReg, tar.TypeGNUSparse:
		return u.file(hdr, base, content)
	case tar.TypeDir:
		return u.directory(hdr, base)
	case tar.TypeLink:
		return u.hardLink(hdr, base)
	case tar.TypeSymlink:
		if hdr.Linkname == "" {
			return errors.New("a symbolic link to nothing")
		}
		err := u.create(base, func() error { return unix.Symlinkat(hdr.Linkname, u.parent.fd, base) })
		if err != nil {
			return wrap("make a symbolic link", err)
		}
		return u.setMetadata(u.parent.fd, base, hdr, false)
	case tar.TypeChar:
		return u.node(hdr, base, unix.S_IFCHR)
	case tar.TypeBlock:
		return u.node(hdr, base, unix.S_IFBLK)
	case tar.TypeFifo:
		return u.node(hdr, base, unix.S_IFIFO)
	}
	return fmt.Errorf("a layer has no entries of type %q", hdr.Typeflag)
}

// create calls create, which makes base and fails if it exists. Then that is
// removed, never followed or written to: it may be a link to somewhere, and a
// file may have other names.
func (u *unpacker) create(base string, create func() error) error {
	err := create()
	if err != unix.EEXIST {
		return err
	}
	if err := u.remove(base); err != nil {
		return err
	}
	return create()
}

func (u *unpacker) remove(base string) error {
	// The parent's name may have led through what is removed.
	u.parent.name = noParent
	dir, err := os.OpenRoot(fdPath(u.parent.fd))
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.RemoveAll(base)
}

// fdPath names what is open as a path, for calls that take nothing else.
func fdPath(fd int) string { return fmt.Sprintf("/proc/self/fd/%d", fd) }

func (u *unpacker) stat(base string) (*unix.Stat_t, error) {
	var st unix.Stat_t
	err := unix.Fstatat(u.parent.fd, base, &st, unix.AT_SYMLINK_NOFOLLOW)
	return &st, wrap("stat", err)
}

// file makes a regular file.
func (u *unpacker) file(hdr *tar.Header, base string, content io.Reader) error {
	if err := u.checkSize(hdr); err != nil {
		return err
	}
	var fd int
	err := u.create(base, func() (err error) {
		fd, err = unix.Openat(u.parent.fd, base, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
		return err
	})
	if err != nil {
		return wrap("create", err)
	}
	file := os.NewFile(uintptr(fd), base)
	err = u.write(file, content, hdr.Size)
	if closing := file.Close(); err == nil {
		err = closing
	}
	if err != nil {
		return err
	}
	return u.setMetadata(u.parent.fd, base, hdr, false)
}

// checkSize refuses a file before anything of it is written. A sparse file has
// few bytes in the tar and any size: it counts as if it had no holes.
func (u *unpacker) checkSize(hdr *tar.Header) error {
	sparse := hdr.Typeflag == tar.TypeGNUSparse
	for record := range hdr.PAXRecords {
		sparse = sparse || strings.HasPrefix(record, "GNU.sparse.")
	}
	switch {
	case hdr.Size < 0:
		return fmt.Errorf("a size of %d bytes", hdr.Size)
	case sparse:
		return u.quota.takeBytes(hdr.Size)
	case hdr.Size > atomic.LoadInt64(&u.quota.bytes):
		return errTooManyBytes
	}
	return nil
}

var zeros [128 << 10]byte

// write copies a file's content. A buffer full of zeros becomes a hole.
func (u *unpacker) write(file *os.File, content io.Reader, size int64) error {
	hole := false
	for at := int64(0); at < size; {
		chunk := u.buffer[:min(size-at, int64(len(u.buffer)))]
		if _, err := io.ReadFull(content, chunk); err == io.EOF {
			return io.ErrUnexpectedEOF
		} else if err != nil {
			return err
		}
		if len(chunk) == len(zeros) && bytes.Equal(chunk, zeros[:]) {
			hole = true
		} else if _, err := file.WriteAt(chunk, at); err != nil {
			return err
		}
		at += int64(len(chunk))
	}
	if hole { // perhaps at the end
		return file.Truncate(size)
	}
	return nil
}

func (u *unpacker) directory(hdr *tar.Header, base string) error {
	existed, err := u.makeDir(base, false)
	if err != nil {
		return err
	}
	return u.setMetadata(u.parent.fd, base, hdr, existed)
}

// makeDir makes a directory, or keeps the one there is with all it contains.
// If something else has the name, the directory takes its place: it hides what
// that did, including a directory of the layers below.
func (u *unpacker) makeDir(base string, onlyForWhiteout bool) (existed bool, err error) {
	err = unix.Mkdirat(u.parent.fd, base, 0o755)
	if err != unix.EEXIST {
		return false, wrap("make a directory", err)
	}
	st, err := u.stat(base)
	switch {
	case err != nil:
		return false, err
	case st.Mode&unix.S_IFMT == unix.S_IFDIR:
		return true, nil
	case onlyForWhiteout && !isWhiteout(st):
		return false, fmt.Errorf("%.200q is not a directory in this layer", base)
	}
	if err := u.remove(base); err != nil {
		return false, err
	}
	if err := unix.Mkdirat(u.parent.fd, base, 0o755); err != nil {
		return false, wrap("make a directory", err)
	}
	return false, setOpaque(u.parent.fd, base)
}

// top takes over the metadata of the layer's own directory.
func (u *unpacker) top(hdr *tar.Header) error {
	if hdr.Typeflag != tar.TypeDir {
		return errors.New("the top of the layer must be a directory")
	}
	if err := u.leave(); err != nil { // it may be the parent
		return err
	}
	return u.setMetadata(u.root, ".", hdr, true)
}

// hardLink gives another name to a file of this layer. A file of a layer below
// is out of reach, and on overlayfs it would not be the same file anyway.
func (u *unpacker) hardLink(hdr *tar.Header, base string) error {
	target, err := entryName(hdr.Linkname)
	if err != nil {
		return fmt.Errorf("hard link to %.200q: %w", hdr.Linkname, err)
	}
	from, err := openInRoot(u.root, path.Dir(target))
	if err != nil {
		return fmt.Errorf("hard link to %.200q, which is not in this layer before it: %w", hdr.Linkname, err)
	}
	defer unix.Close(from)
	var st, old unix.Stat_t
	if err := unix.Fstatat(from, path.Base(target), &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return fmt.Errorf("hard link to %.200q, which is not in this layer before it: %w", hdr.Linkname, err)
	}
	if st.Mode&unix.S_IFMT == unix.S_IFDIR || isWhiteout(&st) {
		return fmt.Errorf("hard link to %.200q: not a file", hdr.Linkname)
	}
	err = unix.Fstatat(u.parent.fd, base, &old, unix.AT_SYMLINK_NOFOLLOW)
	if err == nil && old.Dev == st.Dev && old.Ino == st.Ino {
		return nil // removing the old one would remove the target
	}
	err = u.create(base, func() error { return unix.Linkat(from, path.Base(target), u.parent.fd, base, 0) })
	if err != nil {
		return fmt.Errorf("hard link to %.200q: %w", hdr.Linkname, err)
	}
	return nil // the owner, mode and times are the file's, which has them
}

// node makes a device node or a FIFO. Devices are made as the layer has them:
// what keeps the container from using them is that its root is mounted nodev,
// and what keeps the host's users from it is that they cannot enter the store.
func (u *unpacker) node(hdr *tar.Header, base string, kind uint32) error {
	device := 0
	if kind != unix.S_IFIFO {
		major, minor := hdr.Devmajor, hdr.Devminor
		if major < 0 || major >= 1<<12 || minor < 0 || minor >= 1<<20 { // MKDEV of the kernel
			return fmt.Errorf("no device has the number %d:%d", major, minor)
		}
		if device = int(unix.Mkdev(uint32(major), uint32(minor))); device == 0 && kind == unix.S_IFCHR {
			return errors.New("the character device 0:0 is overlayfs's whiteout: an image cannot have it")
		}
	}
	err := u.create(base, func() error { return unix.Mknodat(u.parent.fd, base, kind|0o600, device) })
	if err != nil {
		return wrap("make a device node or FIFO", err)
	}
	return u.setMetadata(u.parent.fd, base, hdr, false)
}

// setMetadata gives a file its owner, mode, extended attributes and times, in
// this order: chown(2) takes away setuid and capabilities, and a mode given
// when the file is made is subject to our umask.
func (u *unpacker) setMetadata(dirfd int, base string, hdr *tar.Header, existed bool) error {
	const nobody = 1<<32 - 1 // -1: chown(2) would leave the owner as it is
	if hdr.Uid < 0 || hdr.Uid >= nobody || hdr.Gid < 0 || hdr.Gid >= nobody {
		return fmt.Errorf("no user or group has the number %d:%d", hdr.Uid, hdr.Gid)
	}
	if err := unix.Fchownat(dirfd, base, hdr.Uid, hdr.Gid, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return fmt.Errorf("change the owner to %d:%d: %w", hdr.Uid, hdr.Gid, err)
	}
	if existed || u.inheritACL {
		if err := clearXattrs(dirfd, base); err != nil {
			return err
		}
	}
	if hdr.Typeflag != tar.TypeSymlink { // a link has no mode, and this would follow it
		if err := unix.Fchmodat(dirfd, base, uint32(hdr.Mode&0o7777), 0); err != nil {
			return fmt.Errorf("change the mode to %o: %w", hdr.Mode&0o7777, err)
		}
	}
	if err := u.setXattrs(dirfd, base, hdr); err != nil {
		return err
	}
	modified, err := unix.TimeToTimespec(hdr.ModTime)
	if err != nil {
		return fmt.Errorf("a time out of range: %w", err)
	}
	times := []unix.Timespec{modified, modified}
	return wrap("set the times", unix.UtimesNanoAt(dirfd, base, times, unix.AT_SYMLINK_NOFOLLOW))
}

// openPath opens a file of any kind, only to know which one is meant: for a
// link that is the link itself, and a device is not started. The extended
// attributes have no calls for such a descriptor, but take its name in /proc.
func openPath(dirfd int, base string) (int, error) {
	fd, err := unix.Openat(dirfd, base, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	return fd, wrap("open", err)
}

// xattrRecord begins the extended header records for them. The name is star(1)'s,
// and all tars have taken it over.
const xattrRecord = "SCHILY.xattr."

func (u *unpacker) setXattrs(dirfd int, base string, hdr *tar.Header) error {
	fd := -1
	for _, key := range slices.Sorted(maps.Keys(hdr.PAXRecords)) {
		name, is := strings.CutPrefix(key, xattrRecord)
		if !is || !ofImage(name) {
			continue
		}
		if fd < 0 {
			var err error
			if fd, err = openPath(dirfd, base); err != nil {
				return err
			}
			defer unix.Close(fd)
		}
		err := unix.Setxattr(fdPath(fd), name, []byte(hdr.PAXRecords[key]), 0)
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

// ofImage tells which extended attributes belong to an image. Overlayfs's own
// would let a layer point into other layers, or show parts of another file
// (overlayfs.rst, "Metadata only copy up"); SELinux's label is the host's.
func ofImage(xattr string) bool {
	return !strings.HasPrefix(xattr, overlayXattrs) && !strings.HasPrefix(xattr, "user.overlay.") && xattr != "security.selinux"
}

// clearXattrs removes what an earlier entry set, or the parent's default ACL.
func clearXattrs(dirfd int, base string) error {
	fd, err := openPath(dirfd, base)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	names, err := listXattrs(fd)
	if err != nil {
		return err
	}
	for _, name := range names {
		if !ofImage(name) {
			continue
		}
		if err := unix.Removexattr(fdPath(fd), name); err != nil && err != unix.ENODATA {
			return fmt.Errorf("remove the extended attribute %q: %w", name, err)
		}
	}
	return nil
}

// listXattrs returns the names of a file's extended attributes, sorted.
func listXattrs(fd int) ([]string, error) {
	n, err := unix.Listxattr(fdPath(fd), nil) // nil: only ask for the size
	if err == nil && n == 0 || err == unix.ENOTSUP {
		return nil, nil
	}
	buffer := make([]byte, 64<<10) // XATTR_LIST_MAX
	if err == nil {
		n, err = unix.Listxattr(fdPath(fd), buffer)
	}
	if err != nil {
		return nil, wrap("list extended attributes", err)
	}
	names := strings.FieldsFunc(string(buffer[:n]), func(r rune) bool { return r == 0 })
	slices.Sort(names)
	return names, nil
}

// enter opens the directory in which the next file is made.
func (u *unpacker) enter(dir string) error {
	if u.parent.name == dir {
		return nil
	}
	if err := u.leave(); err != nil {
		return err
	}
	fd, err := openInRoot(u.root, dir)
	if err == unix.ENOENT || err == unix.ENOTDIR {
		if err := u.makeParents(dir); err != nil {
			return err
		}
		if err := u.leave(); err != nil {
			return err
		}
		fd, err = openInRoot(u.root, dir)
	}
	if err != nil {
		return fmt.Errorf("open its directory: %w", err)
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		unix.Close(fd)
		return wrap("stat", err)
	}
	u.parent = parentDir{dir, fd, [2]unix.Timespec{st.Atim, st.Mtim}}
	return nil
}

// leave gives a directory the times back that it had before entries were made
// in it. So a directory's own entry may come before or after them, and nothing
// has to be remembered to the end.
func (u *unpacker) leave() error {
	p := u.parent
	u.parent = parentDir{noParent, -1, p.times}
	if p.fd < 0 {
		return nil
	}
	defer unix.Close(p.fd)
	return wrap("set the times of its directory", unix.UtimesNanoAt(p.fd, ".", p.times[:], 0))
}

// openInRoot opens a directory as a process would whose root is the layer:
// neither .. nor an absolute link leads out.
func openInRoot(root int, dir string) (int, error) {
	how := &unix.OpenHow{
		Flags:   unix.O_RDONLY | unix.O_DIRECTORY | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS,
	}
	for {
		fd, err := unix.Openat2(root, dir, how)
		// EAGAIN: something was renamed meanwhile, anywhere, and the kernel
		// cannot be sure that .. stayed inside.
		if err != unix.EAGAIN && err != unix.EINTR {
			return fd, err
		}
	}
}

// makeParents makes the directories above an entry that have no entry of their
// own, at least not yet: mode 755 and root's, which overlayfs will show instead
// of what a layer below says of them. So tools that build images write an entry
// for every directory. A link on the way may lead to a directory that is missing
// too: then that one is made.
func (u *unpacker) makeParents(dir string) error {
	const maxLinks = 40 // the kernel's, path_resolution(7)
	way, links := ".", 0
	for rest := dir; rest != ""; {
		var name string
		name, rest, _ = strings.Cut(rest, "/")
		switch name {
		case "", ".":
			continue
		case "..":
			way = path.Dir(way) // there are no links in it
			continue
		}
		if err := u.enter(way); err != nil {
			return err
		}
		link, err := readlink(u.parent.fd, name)
		switch {
		case err == nil:
			if links++; links > maxLinks {
				return wrap("open its directory", unix.ELOOP)
			}
			if path.IsAbs(link) {
				way = "."
			}
			rest = link + "/" + rest
			continue
		case err == unix.ENOENT:
			if err := u.quota.takeEntry(); err != nil {
				return err
			}
		case err != unix.EINVAL: // EINVAL: it is there and no link
			return wrap("read a link", err)
		}
		if err := u.makeParent(name); err != nil {
			return err
		}
		way = path.Join(way, name)
	}
	return nil
}

func (u *unpacker) makeParent(name string) error {
	existed, err := u.makeDir(name, true)
	if err != nil || existed {
		return err
	}
	return u.setMetadata(u.parent.fd, name, &tar.Header{Typeflag: tar.TypeDir, Mode: 0o755, ModTime: time.Unix(0, 0)}, false)
}

func readlink(dirfd int, name string) (string, error) {
	buffer := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(dirfd, name, buffer)
	if err != nil {
		return "", err
	}
	return string(buffer[:n]), nil
}
