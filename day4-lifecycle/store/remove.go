package store

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"example.com/go-docker/day4-lifecycle/image"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/sirupsen/logrus"
)

// RemoveImage takes a name off an image. With its last name the image goes too,
// and with the image the layers that nobody else needs. It returns what it did
// in Docker's words.
func (s *Store) RemoveImage(ref string, force bool) (done []string, err error) {
	var rubbish *Job
	done, rubbish, err = s.removeLocked(ref, force)
	if rubbish != nil { // removing large layers takes its time: not under the lock
		err = errors.Join(err, rubbish.End())
	}
	return done, err
}

func (s *Store) removeLocked(ref string, force bool) (done []string, rubbish *Job, err error) {
	unlock, err := s.lock()
	if err != nil {
		return nil, nil, err
	}
	defer unlock()
	deleted := ""
	err = s.changeIndex(func(index *v1.IndexManifest) error {
		done, deleted, err = s.unlist(index, ref, force)
		return err
	})
	if err != nil || deleted == "" {
		return done, nil, err
	}
	rubbish, err = s.collect()
	return append(done, "Deleted: "+deleted), rubbish, err
}

// unlist removes from the index what rmi ref means, and returns the image's ID
// if that was all of it.
func (s *Store) unlist(index *v1.IndexManifest, ref string, force bool) (done []string, deleted string, err error) {
	manifest, err := s.find(index, ref)
	if err != nil {
		return nil, "", err
	}
	var names []string
	for _, d := range index.Manifests {
		if d.Digest == manifest.Digest && NameOf(d) != "" {
			names = append(names, NameOf(d))
		}
	}
	r, err := image.ParseReference(ref)
	byName := err == nil && isNamed(manifest, r)
	gone := names
	if byName && len(names) > 1 {
		gone = []string{NameOf(manifest)}
	} else {
		if len(names) > 1 && !force {
			return nil, "", fmt.Errorf("image %s has several names (%s): remove them one by one, or use -f", ref, strings.Join(familiarAll(names), ", "))
		}
		id, err := s.idOf(manifest)
		if err != nil {
			return nil, "", err
		}
		err = s.errHeld(ref, id)
		switch {
		case err == nil:
			deleted = id
		case !force || len(names) == 0:
			return nil, "", err
		}
	}
	for _, name := range gone {
		leave(index, name)
		done = append(done, "Untagged: "+image.Familiar(name))
	}
	if deleted != "" {
		index.Manifests = slices.DeleteFunc(index.Manifests, func(d v1.Descriptor) bool { return d.Digest == manifest.Digest })
	}
	return done, deleted, nil
}

// idOf returns an image's ID. An image that cannot be read any more has none,
// and must be removable all the same.
func (s *Store) idOf(manifest v1.Descriptor) (string, error) {
	m, err := s.readManifest(manifest)
	if err != nil {
		logrus.Warn(describe(manifest, err))
		return manifest.Digest.String(), nil
	}
	return m.Config.Digest.String(), nil
}

// collect moves blobs and layers that no image needs to a job, whose end
// removes them. The caller holds the lock.
func (s *Store) collect() (*Job, error) {
	adding, err := s.jobs("add-")
	if err != nil {
		return nil, err
	}
	if len(adding) > 0 {
		logrus.Info("another command is adding an image: the next rmi removes what is not needed any more")
		return nil, nil
	}
	needed, err := s.needed()
	if err != nil {
		return nil, fmt.Errorf("find out which layers are needed: %w: remove that image (rmi)", err)
	}
	rubbish, err := s.Begin(context.Background(), "rubbish-"+rand.Text())
	if err != nil {
		return nil, err
	}
	for _, kind := range []string{"blobs", "layers"} {
		entries, err := os.ReadDir(s.Path(kind, "sha256"))
		if err != nil {
			return rubbish, err
		}
		for _, e := range entries {
			if needed[kind+e.Name()] {
				continue
			}
			if err := os.Rename(s.Path(kind, "sha256", e.Name()), rubbish.Path(kind+e.Name())); err != nil {
				return rubbish, err
			}
		}
	}
	return rubbish, nil
}

// needed marks the blobs and layers of all images.
func (s *Store) needed() (map[string]bool, error) {
	index, err := s.ReadIndex()
	if err != nil {
		return nil, err
	}
	needed := map[string]bool{}
	for _, d := range index.Manifests {
		img, err := s.ReadImage(index, d)
		if err != nil {
			return nil, err
		}
		blobs := append([]v1.Descriptor{d, img.Manifest.Config}, img.Manifest.Layers...)
		for _, blob := range blobs {
			needed["blobs"+blob.Digest.Hex] = true
		}
		for _, diffID := range img.Config.RootFS.DiffIDs {
			needed["layers"+diffID.Hex] = true
		}
	}
	return needed, nil
}

func familiarAll(names []string) []string {
	var short []string
	for _, name := range names {
		short = append(short, image.Familiar(name))
	}
	return short
}
