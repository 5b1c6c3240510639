// Package store keeps images and containers on disk: an OCI image layout, the
// unpacked layers beside it, and what containers have changed.
//
// It grew from rung 09-image, adds removal, and copes with many commands at
// once and with crashes and power cuts at any moment.
package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"example.com/go-docker/day4-lifecycle/image"
	"example.com/go-docker/day4-lifecycle/lock"
	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// A Store is a directory that holds images and containers:
//
//	oci-layout            says that this is an OCI image layout (image-spec, image-layout.md)
//	index.json            the images: names, and the digests of their manifests
//	index.json.new        for its next content, see durable.go
//	blobs/sha256/...      manifests, configurations and packed layers, named by their digest
//	layers/sha256/...     unpacked layers, named by their diff ID, for overlayfs
//	skeleton/             mount points, below the layers of every container
//	containers/...        what containers have changed
//	tmp/                  work in progress, see Job
//	boot                  the boot in which an image was last added, see durable.go
//	lock                  held while index.json changes, anything is removed, or a container is made
//
// Anything named by a digest never changes, so commands read it without a lock.
// It gets its name last, by rename(2), when it is complete and verified, so a
// killed command leaves something only in tmp.
type Store struct {
	Root string // absolute
}

// parts are what may be in a store that is not complete, because another command
// is just making it, or because it is to be made on a new disk.
var parts = []string{"oci-layout", "oci-layout.new", "index.json", "index.json.new", "boot", "blobs", "layers", "skeleton", "containers", "tmp", "lock", "lost+found"}

// storeDirs are closed to all other users, because image layers have setuid
// programs that the host's users must not be able to run (CVE-2021-41091).
var storeDirs = []string{"blobs/sha256", "layers/sha256", "containers", "tmp"}

// Open opens the store in the directory root, and makes it if it is missing.
func Open(root string) (*Store, error) {
	root, err := filepath.Abs(root)
	if err != nil {
		return nil, err
	}
	s := &Store{root}
	_, err = os.Stat(s.Path("oci-layout"))
	if errors.Is(err, fs.ErrNotExist) {
		err = s.create()
	}
	if err != nil {
		return nil, fmt.Errorf("open the image store: %w", err)
	}
	return s, s.sweep()
}

func (s *Store) Path(name ...string) string {
	return filepath.Join(append([]string{s.Root}, name...)...)
}

// create makes everything in a store. The file oci-layout comes after all that
// a command needs: until it exists, the next one does all of this again.
func (s *Store) create() error {
	if err := os.MkdirAll(s.Root, 0o700); err != nil {
		return err
	}
	entries, err := os.ReadDir(s.Root)
	if err != nil {
		return err
	}
	for _, e := range entries { // nobody's home directory becomes a store
		if !slices.Contains(parts, e.Name()) {
			return fmt.Errorf("%s is not empty and not a store (it has %q): name another directory with --root", s.Root, e.Name())
		}
	}
	if err := os.Chmod(s.Root, 0o700); err != nil {
		return err
	}
	for _, dir := range storeDirs {
		if err := os.MkdirAll(s.Path(dir), 0o700); err != nil {
			return err
		}
	}
	return s.changeIndex(func(*v1.IndexManifest) error {
		return s.replace("oci-layout", []byte(`{"imageLayoutVersion":"1.0.0"}`+"\n"))
	})
}

// Lock keeps other commands from changing index.json, removing anything,
// starting to add an image, or making containers, until the file is closed. Hold
// it only briefly.
func (s *Store) Lock() (*os.File, error) { return lock.Wait(s.Path("lock")) }

// LayerPath is the path of an unpacked layer.
func (s *Store) LayerPath(diffID v1.Hash) string { return s.Path("layers", "sha256", diffID.Hex) }

// ChainPath is the path of the last of some layers, lowest first, as it is on
// top of the others. Its name is their chain ID (OCI image-spec, config.md),
// except that even a single layer has one that differs from its diff ID.
func (s *Store) ChainPath(diffIDs []v1.Hash) string {
	chain := v1.Hash{}
	for _, diffID := range diffIDs {
		chain = image.SHA256([]byte(chain.String() + " " + diffID.String()))
	}
	return s.LayerPath(chain)
}
