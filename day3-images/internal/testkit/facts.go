package testkit

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// A Fact is everything that matters about a file: two files are the same if
// their facts are.
type Fact struct {
	Kind    fs.FileMode
	Mode    uint32 // permissions, setuid, setgid and sticky
	Owner   string
	Mtime   int64
	Size    int64
	Device  string
	Target  string // of a symbolic link
	Content string // digest
	Xattrs  string
	Link    string // the first of its names, if it has several
}

// Facts collects the facts of all files in a directory, by name.
func Facts(t testing.TB, dir string) map[string]Fact {
	t.Helper()
	all, err := CollectFacts(dir)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func CollectFacts(dir string) (map[string]Fact, error) {
	all := map[string]Fact{}
	names := map[[2]uint64][]string{} // by inode
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		name, _ := filepath.Rel(dir, path)
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		f := Fact{
			Kind:  d.Type(),
			Mode:  st.Mode & 0o7777,
			Owner: fmt.Sprintf("%d:%d", st.Uid, st.Gid),
			Mtime: st.Mtim.Nano(),
		}
		if st.Nlink > 1 && !d.IsDir() && !whiteoutNode(&st) {
			inode := [2]uint64{st.Dev, st.Ino}
			names[inode] = append(names[inode], name)
		}
		switch st.Mode & unix.S_IFMT {
		case unix.S_IFREG:
			content, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			f.Size, f.Content = st.Size, fmt.Sprintf("%x", sha256.Sum256(content))
		case unix.S_IFLNK:
			if f.Target, err = os.Readlink(path); err != nil {
				return err
			}
		case unix.S_IFCHR, unix.S_IFBLK:
			f.Device = fmt.Sprintf("%d:%d", unix.Major(st.Rdev), unix.Minor(st.Rdev))
		}
		f.Xattrs, err = xattrsOf(path)
		all[name] = f
		return err
	})
	for _, same := range names {
		for _, name := range same[1:] { // none if it is the only one; others are deleted or elsewhere
			for _, name := range []string{same[0], name} {
				f := all[name]
				f.Link = same[0]
				all[name] = f
			}
		}
	}
	return all, err
}

// xattrsOf reads attributes by the file's name, unlike the program.
func xattrsOf(path string) (string, error) {
	buffer := make([]byte, 64<<10)
	n, err := unix.Llistxattr(path, buffer)
	if err == unix.ENOTSUP {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("%s: %w", path, err)
	}
	var all []string
	for _, name := range strings.Split(strings.TrimSuffix(string(buffer[:n]), "\x00"), "\x00") {
		if name == "" || name == "security.selinux" || strings.HasPrefix(name, "trusted.overlay.") && name != "trusted.overlay.opaque" {
			continue
		}
		value := make([]byte, 64<<10)
		n, err := unix.Lgetxattr(path, name, value)
		if err != nil {
			return "", fmt.Errorf("%s: %w", path, err)
		}
		all = append(all, fmt.Sprintf("%s=%q", name, value[:n]))
	}
	slices.Sort(all)
	return strings.Join(all, " "), nil
}

// SameFacts fails the test for every file that differs.
func SameFacts(t testing.TB, got, want map[string]Fact) {
	t.Helper()
	shown := 0
	differ := func(format string, args ...any) {
		t.Helper()
		if shown++; shown <= 20 {
			t.Errorf(format, args...)
		}
	}
	for name, w := range want {
		if g, ok := got[name]; !ok {
			differ("%q is missing", name)
		} else if g != w {
			differ("%q is\n\t%+v, want\n\t%+v", name, g, w)
		}
	}
	for name := range got {
		if _, ok := want[name]; !ok {
			differ("%q should not be there", name)
		}
	}
	if shown > 20 {
		t.Errorf("and %d more", shown-20)
	}
}

// Sketch describes a directory in short, sorted by name: "a/ a/f=text a/l->f
// a/gone! b/opaque! p|".
func Sketch(t testing.TB, dir string) string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(dir, path)
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil {
			return err
		}
		switch st.Mode & unix.S_IFMT {
		case unix.S_IFREG:
			content, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			name += "=" + string(content)
		case unix.S_IFLNK:
			target, err := os.Readlink(path)
			if err != nil {
				return err
			}
			name += "->" + target
		case unix.S_IFDIR:
			opaque, err := saysOpaque(path)
			if err != nil {
				return err
			}
			if name += "/"; opaque {
				name += "opaque!"
			}
			if name == "./" {
				return nil
			}
		case unix.S_IFCHR, unix.S_IFBLK:
			if whiteoutNode(&st) {
				name += "!"
			} else {
				name += fmt.Sprintf(" %c %d:%d", "cb"[st.Mode&unix.S_IFMT>>14&1], unix.Major(st.Rdev), unix.Minor(st.Rdev))
			}
		case unix.S_IFIFO:
			name += "|"
		}
		all = append(all, name)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(all, " ")
}

func whiteoutNode(st *unix.Stat_t) bool { return st.Mode&unix.S_IFMT == unix.S_IFCHR && st.Rdev == 0 }

func saysOpaque(dir string) (bool, error) {
	var value [1]byte
	n, err := unix.Lgetxattr(dir, "trusted.overlay.opaque", value[:])
	if err == unix.ENODATA || err == unix.ENOTSUP {
		return false, nil
	}
	return n == 1 && value[0] == 'y', err
}

// MountOverlay stacks layers, lowest first, and returns the mount point. upper,
// if not "", takes changes; without it the mount is read-only.
func MountOverlay(t testing.TB, upper string, layers ...string) string {
	t.Helper()
	merged := t.TempDir()
	slices.Reverse(layers)
	if len(layers) == 1 && upper == "" {
		layers = append(layers, t.TempDir()) // overlayfs needs two
	}
	options := "lowerdir=" + strings.Join(layers, ":")
	if upper != "" {
		options += ",redirect_dir=off,metacopy=off,upperdir=" + upper + ",workdir=" + t.TempDir()
	}
	if err := unix.Mount("overlay", merged, "overlay", 0, options); err != nil {
		t.Fatalf("mount an overlay (%s): %v", options, err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(merged, 0); err != nil {
			t.Error(err)
		}
	})
	return merged
}

// Judge returns another program's view of everything in a directory except one
// part of it: names, types, modes, owners, sizes, link counts, times of the
// last change of content and inode, and content.
func Judge(t testing.TB, dir, except string) string {
	t.Helper()
	look := exec.Command("find", dir, "-path", except, "-prune", "-o", "-printf", `%p %y %m %U:%G %s %n %T@ %C@ %l\n`)
	sums := exec.Command("find", dir, "-path", except, "-prune", "-o", "-type", "f", "-exec", "sha256sum", "{}", "+")
	var seen []string
	for _, cmd := range []*exec.Cmd{look, sums} {
		cmd.Stderr = os.Stderr
		output, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		seen = append(seen, strings.Split(string(output), "\n")...)
	}
	slices.Sort(seen)
	return strings.Join(seen, "\n")
}

// ToolOutput runs a program that must succeed and returns what it printed.
func ToolOutput(t testing.TB, name string, args ...string) []byte {
	t.Helper()
	cmd := exec.Command(name, args...)
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	printed, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v: %s", cmd, err, complaint.String())
	}
	return printed
}
