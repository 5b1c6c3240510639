package chain

import (
	"archive/tar"
	"fmt"
	"maps"
	"math/rand/v2"
	"path"
	"strings"
	"testing"
	"time"

	"example.com/go-docker/day3-images/inroot"
	"example.com/go-docker/day3-images/internal/testkit"
	"golang.org/x/sys/unix"
)

// randomImage makes an image's layers. Sometimes a layer is repeated.
func randomImage(t *testing.T, r *rand.Rand) (tars [][]byte) {
	m := &model{r: r, files: map[string]string{}}
	var made [][]testkit.Entry
	for n := 2 + r.IntN(5); len(made) < n; {
		if len(made) > 0 && r.IntN(8) == 0 {
			made = append(made, made[r.IntN(len(made))])
			if !m.again(made[len(made)-1]) {
				made = made[:len(made)-1]
			}
			continue
		}
		made = append(made, m.layer(len(made)))
	}
	for _, entries := range made {
		tars = append(tars, testkit.Tar(t, entries...))
	}
	return tars
}

// A model knows what is where after some layers, so that random entries make
// sense. The one-letter names a..e are directories or links, and f..m are
// files.
type model struct {
	r     *rand.Rand
	files map[string]string // by path without links: a link's target, isDir or isFile
	used  map[string]bool   // in this layer: has an entry, or was on the way to one
	hard  []string          // and its files
}

const (
	isDir  = "/ "
	isFile = " "
)

// walk returns the path without links of the directory that name leads to, if
// it may be a directory.
func (m *model) walk(name string) (way string, ok bool) {
	var on []string
	way, err := inroot.Walk(".", name, func(name string, _ bool) (string, error) {
		on = append(on, name)
		switch what := m.files[name]; what {
		case isFile:
			return "", unix.ENOTDIR
		case isDir, "":
			return "", nil
		default:
			return what, nil
		}
	})
	if err != nil {
		return "", false
	}
	for _, name := range on {
		m.used[name] = true
	}
	return way, true
}

// put makes something at a name, and its directory, unless the name is in use:
// two entries of a layer are never the same file.
func (m *model) put(name, what string) bool {
	way, ok := m.walk(path.Dir(name))
	if !ok {
		return false
	}
	real := path.Join(way, path.Base(name))
	if m.used[real] || way != path.Dir(name) && strings.Contains(what, "..") {
		return false // a link with .. from elsewhere: to us it starts where its name is
	}
	for dir := way; dir != "."; dir = path.Dir(dir) {
		m.files[dir] = isDir
	}
	if what != isDir || m.files[real] != isDir {
		m.remove(real)
	}
	m.files[real], m.used[real] = what, true
	return true
}

func (m *model) remove(real string) {
	maps.DeleteFunc(m.files, func(name, _ string) bool { return name == real || strings.HasPrefix(name, real+"/") })
}

// whiteout removes a name, or everything in a directory.
func (m *model) whiteout(name string) bool {
	way, ok := m.walk(path.Dir(name))
	if !ok {
		return false
	}
	if base := path.Base(name); base != ".wh..wh..opq" {
		real := path.Join(way, strings.TrimPrefix(base, ".wh."))
		if m.used[real] {
			return false
		}
		m.remove(real)
		return true
	}
	within := func(file string) bool { return way == "." || strings.HasPrefix(file, way+"/") }
	for file := range m.used {
		if within(file) {
			return false
		}
	}
	maps.DeleteFunc(m.files, func(file, _ string) bool { return within(file) })
	return true
}

// again repeats a layer's entries where they may have another meaning.
func (m *model) again(entries []testkit.Entry) bool {
	before := maps.Clone(m.files)
	m.used = map[string]bool{}
	for _, e := range entries {
		ok := true
		switch name := path.Clean(e.Name); {
		case name == ".":
		case strings.HasPrefix(path.Base(name), ".wh."):
			ok = m.whiteout(name)
		case e.Typeflag == tar.TypeDir:
			ok = m.put(name, isDir)
		case e.Typeflag == tar.TypeSymlink && strings.Contains("abcde", path.Base(name)):
			ok = m.put(name, e.Linkname)
		default:
			ok = m.put(name, isFile)
		}
		if !ok {
			m.files = before
			return false
		}
	}
	return true
}

func (m *model) pick(letters string) string {
	i := m.r.IntN(len(letters))
	return letters[i : i+1]
}

// dir names a directory, perhaps the top.
func (m *model) dir() string {
	dir := ""
	for range m.r.IntN(4) {
		dir = path.Join(dir, m.pick("abcde"))
	}
	return dir
}

func (m *model) target() string {
	target := []string{"", "/", "../", "../../", "./"}[m.r.IntN(5)]
	return target + path.Join(m.pick("abcde"), m.dir())
}

func (m *model) metadata(e testkit.Entry) testkit.Entry {
	mode := []int64{0o755, 0o700, 0o1777, 0o4711, 0o644, 0o2711}[m.r.IntN(6)]
	if e.Typeflag == tar.TypeDir {
		mode &^= 0o2000 // umoci makes implied directories inherit it, and the group
	}
	e = e.WithMode(mode).OwnedBy(m.r.IntN(3)*1000, m.r.IntN(3)*50)
	e = e.At(time.Unix(1e9+int64(m.r.IntN(1e8)), int64(m.r.IntN(1e9))))
	if m.r.IntN(4) == 0 {
		e = e.Xattr("trusted.x", fmt.Sprint(m.r.IntN(3)))
	}
	return e
}

// layer makes entries of all kinds, with and without those of the directories
// that they are in.
func (m *model) layer(number int) (all []testkit.Entry) {
	r := m.r
	m.used, m.hard = map[string]bool{}, nil
	add := func(ok bool, e testkit.Entry) {
		if ok {
			all = append(all, m.metadata(e))
		}
	}
	add(r.IntN(3) == 0, testkit.Dir("./"))
	for range r.IntN(4) {
		name := path.Join(m.dir(), ".wh."+m.pick("abcdefgh"))
		if r.IntN(3) == 0 {
			name = path.Join(m.dir(), ".wh..wh..opq")
		}
		add(number > 0 && m.whiteout(name), testkit.File(name, ""))
	}
	for range r.IntN(3) {
		name, target := path.Join(m.dir(), m.pick("abcde")), m.target()
		add(m.put(name, target), testkit.Symlink(name, target))
	}
	for range r.IntN(6) {
		name := path.Join(m.dir(), m.pick("abcdefg"))
		add(m.put(name, isDir), testkit.Dir(name+"/"))
	}
	for range 1 + r.IntN(8) {
		name := path.Join(m.dir(), m.pick("efghijklm"))
		e := m.leaf(name, number)
		if ok := m.put(name, isFile); ok {
			add(ok, e)
			m.hard = append(m.hard, name)
		}
	}
	for range r.IntN(3) {
		if name := path.Join(m.dir(), m.pick("fghijklm")); len(m.hard) > 0 && m.put(name, isFile) {
			all = append(all, testkit.HardLink(name, m.alias(m.hard[r.IntN(len(m.hard))])))
		}
	}
	return all
}

func (m *model) leaf(name string, number int) testkit.Entry {
	switch m.r.IntN(8) {
	case 0:
		return testkit.Node(name, tar.TypeFifo, 0, 0)
	case 1:
		return testkit.Node(name, tar.TypeChar, 1, int64(3+m.r.IntN(3)))
	case 2:
		return testkit.Symlink(name, m.target())
	}
	return testkit.File(name, fmt.Sprintf("%d %s", number, name))
}

// alias returns another name for a file, if it can guess one.
func (m *model) alias(name string) string {
	way, ok := m.walk(path.Dir(name))
	for range 20 {
		if dir := m.dir(); dir != "" && ok {
			if other, ok := m.walk(dir); ok && other == way {
				return path.Join(dir, path.Base(name))
			}
		}
	}
	return name
}
