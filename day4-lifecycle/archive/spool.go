package archive

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"

	"example.com/go-docker/day4-lifecycle/image"
	"example.com/go-docker/day4-lifecycle/layer"
	"example.com/go-docker/day4-lifecycle/store"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// A spool is an archive's files on the disk. A tar can be read in one direction
// only, and its table of contents may come last.
type spool struct {
	byName   map[string]*spooled
	byDigest map[v1.Hash]*spooled
	links    map[string]string
}

// A spooled file is known by what it is: its digest is taken from its content,
// whatever the archive says.
type spooled struct {
	path   string
	digest v1.Hash
	size   int64
	start  []byte
}

// All names of an archive are held in memory, and one could have a megabyte.
const (
	maxArchiveEntries = 1 << 16
	maxArchiveName    = 512 // of an entry and of what it links to, together
)

// spoolArchive unpacks a tar, compressed or not, into dir. The tar's names are
// not used for files: they are numbered.
func spoolArchive(r io.Reader, dir string) (*spool, error) {
	uncompressed, err := layer.Decompress(r)
	if err != nil {
		return nil, err
	}
	defer uncompressed.Close()
	a := &spool{map[string]*spooled{}, map[v1.Hash]*spooled{}, map[string]string{}}
	in := tar.NewReader(layer.Metered(uncompressed, store.NewQuota()))
	for n := 0; ; n++ {
		header, err := in.Next()
		if err == io.EOF {
			return a, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read the archive: %w", layer.ExplainTar(err))
		}
		if n == maxArchiveEntries {
			return nil, fmt.Errorf("the archive has more than %d files: no image archive has", maxArchiveEntries)
		}
		if n := len(header.Name) + len(header.Linkname); n > maxArchiveName {
			return nil, fmt.Errorf("the archive has a name of %d bytes: no image archive has", n)
		}
		name := path.Clean("/" + header.Name)[1:]
		switch header.Typeflag {
		case tar.TypeReg:
			err = a.add(name, in, filepath.Join(dir, fmt.Sprint("file", n)))
		case tar.TypeSymlink:
			a.links[name] = path.Join("/", path.Dir(name), header.Linkname)[1:]
		case tar.TypeLink:
			a.links[name] = path.Clean("/" + header.Linkname)[1:]
		}
		if err != nil {
			return nil, fmt.Errorf("read the archive: %.100q: %w", name, err)
		}
	}
}

func (a *spool) add(name string, content io.Reader, path string) error {
	if a.byName[name] != nil {
		return errors.New("it is there twice")
	}
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer file.Close()
	d := image.NewDigester(file)
	if _, err := io.Copy(d, content); err != nil {
		return err
	}
	start := make([]byte, 6)
	n, err := file.ReadAt(start, 0)
	if err != nil && err != io.EOF {
		return err
	}
	f := &spooled{path, d.Digest(), d.Size, start[:n]}
	a.byName[name], a.byDigest[f.digest] = f, f
	return nil
}

// find returns the file that a descriptor means.
func (a *spool) find(blob v1.Descriptor) (*spooled, error) {
	f := a.byDigest[blob.Digest]
	if f == nil {
		return nil, fmt.Errorf("blob %s is not in the archive, or what has its name is damaged", blob.Digest)
	}
	if f.size != blob.Size {
		return nil, fmt.Errorf("blob %s has %d bytes, and is said to have %d", blob.Digest, f.size, blob.Size)
	}
	return f, nil
}

func (a *spool) document(blob v1.Descriptor) ([]byte, error) {
	f, err := a.find(blob)
	if err != nil {
		return nil, err
	}
	return image.ReadDocument(f.path)
}

// lookUp follows links as docker save used to write them for a layer that two
// images share.
func (a *spool) lookUp(name string) (*spooled, error) {
	at := path.Clean("/" + name)[1:]
	for range 8 {
		if f := a.byName[at]; f != nil {
			return f, nil
		}
		at = a.links[at]
	}
	return nil, fmt.Errorf("%.100q is not in the archive", strings.TrimPrefix(name, "/"))
}

func (a *spool) named(name string) ([]byte, error) {
	f, err := a.lookUp(name)
	if err != nil {
		return nil, err
	}
	return image.ReadDocument(f.path)
}

func (a *spool) describe(name string, kind func(start []byte) types.MediaType) (v1.Descriptor, error) {
	f, err := a.lookUp(name)
	if err != nil {
		return v1.Descriptor{}, fmt.Errorf("manifest.json: %w", err)
	}
	return v1.Descriptor{MediaType: kind(f.start), Digest: f.digest, Size: f.size}, nil
}
