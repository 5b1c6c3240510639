package archive

import (
	"archive/tar"
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"

	"example.com/go-docker/day4-lifecycle/compression"
	"example.com/go-docker/day4-lifecycle/image"
	"example.com/go-docker/day4-lifecycle/layer"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// A spool holds an archive's files on disk, because a tar can be read in one
// direction only and its table of contents may come last. The files in dir are
// named by the digests of their contents, whatever the archive calls them.
type spool struct {
	dir   string
	files map[string]v1.Descriptor // by name in the archive; the types are those of layers
	links map[string]string        // from one name in the archive to another
}

// All names in an archive are held in memory, and a single one could be a
// megabyte long.
const (
	maxEntries = 1 << 16
	maxName    = 512 // of an entry and of what it links to, together
)

// layerTypes are the types of compressed layers.
var layerTypes = map[string]types.MediaType{"gzip": types.OCILayer, "zstd": types.OCILayerZStd}

// spoolArchive unpacks a tar, compressed or not, into dir.
func spoolArchive(r io.Reader, dir string) (*spool, error) {
	uncompressed, err := compression.Decompress(r)
	if err != nil {
		return nil, err
	}
	defer uncompressed.Close()
	a := &spool{dir, map[string]v1.Descriptor{}, map[string]string{}}
	in := tar.NewReader(layer.Metered(uncompressed, layer.NewQuota()))
	for n := 0; ; n++ {
		header, err := in.Next()
		if err == io.EOF {
			return a, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read the archive: %w", layer.ExplainTar(err))
		}
		if n == maxEntries {
			return nil, fmt.Errorf("the archive has more than %d files: no image archive has", maxEntries)
		}
		if n := len(header.Name) + len(header.Linkname); n > maxName {
			return nil, fmt.Errorf("the archive has a name of %d bytes: no image archive has", n)
		}
		name := clean(header.Name)
		switch header.Typeflag {
		case tar.TypeReg:
			err = a.add(name, in)
		case tar.TypeSymlink: // docker save used to write them for layers that two images share
			a.links[name] = clean(path.Join("/", path.Dir(name), header.Linkname))
		case tar.TypeLink:
			a.links[name] = clean(header.Linkname)
		}
		if err != nil {
			return nil, fmt.Errorf("read the archive: %.100q: %w", name, err)
		}
	}
}

func clean(name string) string { return path.Clean("/" + name)[1:] }

// add adds a file, and finds out its type if it is a compressed layer.
func (a *spool) add(name string, content io.Reader) error {
	if _, twice := a.files[name]; twice {
		return errors.New("it is there twice")
	}
	file, err := os.Create(filepath.Join(a.dir, "incoming"))
	if err != nil {
		return err
	}
	buffered := bufio.NewReaderSize(content, 64<<10)
	start, _ := buffered.Peek(6)              // less if the file is shorter; an error comes again
	kind := layerTypes[compression.Of(start)] // now: start is the buffer, and reading on overwrites it
	d := image.NewDigester(file)
	_, err = io.Copy(d, buffered)
	if err := errors.Join(err, file.Close()); err != nil {
		return err
	}
	a.files[name] = v1.Descriptor{MediaType: kind, Digest: d.Digest(), Size: d.Size}
	return os.Rename(file.Name(), a.path(a.files[name]))
}

func (a *spool) path(blob v1.Descriptor) string { return filepath.Join(a.dir, blob.Digest.Hex) }

// find returns the path of the file that a descriptor describes.
func (a *spool) find(blob v1.Descriptor) (string, error) {
	info, err := os.Stat(a.path(blob))
	if err != nil {
		return "", fmt.Errorf("blob %s is not in the archive, or what has its name is damaged", blob.Digest)
	}
	if info.Size() != blob.Size {
		return "", fmt.Errorf("blob %s has %d bytes, and is said to have %d", blob.Digest, info.Size(), blob.Size)
	}
	return a.path(blob), nil
}

func (a *spool) document(blob v1.Descriptor) ([]byte, error) {
	path, err := a.find(blob)
	if err != nil {
		return nil, err
	}
	return image.ReadDocument(path)
}

// lookUp finds a file by its name in the archive, following links.
func (a *spool) lookUp(name string) (v1.Descriptor, error) {
	const maxLinks = 8
	at := clean(name)
	for range maxLinks {
		if blob, ok := a.files[at]; ok {
			return blob, nil
		}
		at = a.links[at]
	}
	return v1.Descriptor{}, fmt.Errorf("%.100q is not in the archive", name)
}

func (a *spool) named(name string) ([]byte, error) {
	blob, err := a.lookUp(name)
	if err != nil {
		return nil, err
	}
	return a.document(blob)
}
