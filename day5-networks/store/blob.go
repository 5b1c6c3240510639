package store

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"example.com/go-docker/day5-networks/image"
	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// BlobPath is the path of a blob. A digest from outside is safe in a path
// because it has been parsed: v1.Hash accepts only sha256: and 64 hexadecimal
// digits (CVE-2024-3727).
func (s *Store) BlobPath(digest v1.Hash) string { return s.Path("blobs", "sha256", digest.Hex) }

// HasBlob reports whether the store has the blob. It was verified when it was
// stored; only its size is checked again, because that costs nothing.
func (s *Store) HasBlob(blob v1.Descriptor) bool {
	info, err := os.Stat(s.BlobPath(blob.Digest))
	return err == nil && info.Mode().IsRegular() && info.Size() == blob.Size
}

// OpenBlob opens a blob for reading, and verifies it again at its end: disks
// fail, and people edit files.
func (s *Store) OpenBlob(blob v1.Descriptor) (io.ReadCloser, error) {
	file, err := os.Open(s.BlobPath(blob.Digest))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("blob %s is missing from the store: remove the image and get it again", blob.Digest)
	}
	if err != nil {
		return nil, err
	}
	return struct {
		io.Reader
		io.Closer
	}{image.Verify(file, "stored blob", blob.Digest, blob.Size), file}, nil
}

// readBlob returns a document, which is a manifest or a configuration. Longer ones
// than image.MaxDocument do not come into the store.
func (s *Store) readBlob(blob v1.Descriptor) ([]byte, error) {
	file, err := s.OpenBlob(blob)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return io.ReadAll(file)
}

// writeBlob adds a document to the store.
func (s *Store) writeBlob(j *Job, content []byte) (v1.Descriptor, error) {
	blob := v1.Descriptor{Digest: image.SHA256(content), Size: int64(len(content))}
	path := j.Path(blob.Digest.Hex)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		return blob, err
	}
	return blob, s.AdoptBlob(path, blob)
}

// AdoptBlob moves a verified file to its place in the store.
func (s *Store) AdoptBlob(path string, blob v1.Descriptor) error {
	return os.Rename(path, s.BlobPath(blob.Digest))
}
