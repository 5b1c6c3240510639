package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"example.com/go-docker/day3-images/image"
	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// blobPath is the place of a blob. A digest from outside is safe in a path
// because it has been parsed: v1.Hash takes nothing but sha256: and 64
// hexadecimal digits (CVE-2024-3727).
func (s *store) blobPath(digest v1.Hash) string { return s.path("blobs", "sha256", digest.Hex) }

// hasBlob tells whether the store has the blob. It was verified when it came
// in; its size is looked at again, because that costs nothing.
func (s *store) hasBlob(blob v1.Descriptor) bool {
	info, err := os.Stat(s.blobPath(blob.Digest))
	return err == nil && info.Mode().IsRegular() && info.Size() == blob.Size
}

// openBlob opens a blob for reading. What is read is verified again, at its
// end: disks forget, and people edit files.
func (s *store) openBlob(blob v1.Descriptor) (io.ReadCloser, error) {
	file, err := os.Open(s.blobPath(blob.Digest))
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

// readBlob returns a document: a manifest or a configuration.
func (s *store) readBlob(blob v1.Descriptor) ([]byte, error) {
	if blob.Size > image.MaxDocument {
		return nil, fmt.Errorf("blob %s is no document: it has %d bytes", blob.Digest, blob.Size)
	}
	file, err := s.openBlob(blob)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return io.ReadAll(file)
}

// writeBlob takes a document into the store.
func (s *store) writeBlob(j *job, content []byte) (v1.Descriptor, error) {
	blob := v1.Descriptor{Digest: image.SHA256(content), Size: int64(len(content))}
	if s.hasBlob(blob) {
		return blob, nil
	}
	path := j.path(blob.Digest.Hex)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		return blob, err
	}
	return blob, s.adoptBlob(path, blob)
}

// adoptBlob gives a file that was verified its place in the store.
func (s *store) adoptBlob(path string, blob v1.Descriptor) error {
	return os.Rename(path, s.blobPath(blob.Digest))
}
