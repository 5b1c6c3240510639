package store

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"example.com/go-docker/day5-networks/image"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/sirupsen/logrus"
)

// Remove removes a name from an image. With its last name the image goes, too,
// along with blobs and layers that no other image needs. It returns what it did
// in Docker's words. An image that containers need stays; users returns their
// IDs, and is called while no container can be made.
func (s *Store) Remove(ref string, force bool, users func(s *Store, imageID string) ([]string, error)) (done []string, err error) {
	deleted := false
	err = s.changeIndex(func(index *v1.IndexManifest) error {
		done, deleted, err = s.unlist(index, ref, force, users)
		return err
	})
	if err != nil {
		return nil, err
	}
	if !deleted {
		return done, nil
	}
	// Whatever another command has done since we let go of the lock, collect
	// finds in the index and among the jobs.
	held, err := s.Lock()
	if err != nil {
		return done, err
	}
	err = errors.Join(s.collect(), held.Close())
	return done, errors.Join(err, s.sweep()) // not under the lock, because large layers take a while
}

// unlist removes from the index what rmi ref asks for, and reports whether the
// image went, too.
func (s *Store) unlist(index *v1.IndexManifest, ref string, force bool, users func(*Store, string) ([]string, error)) (done []string, deleted bool, err error) {
	entry, err := s.find(index, ref)
	if err != nil {
		return nil, false, err
	}
	names := image.NamesOf(index, entry.Digest)
	r, errName := image.ParseReference(ref)
	if len(names) > 1 && errName == nil && image.IsNamed(entry, r) {
		name := image.NameOf(entry)
		image.Leave(index, name)
		return []string{"Untagged: " + image.Familiar(name)}, false, nil
	}
	if len(names) > 1 && !force {
		for i, name := range names {
			names[i] = image.Familiar(name)
		}
		return nil, false, fmt.Errorf("image %s has several names (%s): remove them one by one, or use -f", ref, strings.Join(names, ", "))
	}
	id := entry.Digest.String()
	if m, err := s.readManifest(entry); err == nil {
		id = m.Config.Digest.String()
	} else { // it must still be removable
		logrus.Warn(describe(entry, err))
	}
	holders, err := users(s, id)
	if err != nil {
		return nil, false, err
	}
	if len(holders) > 0 && (!force || len(names) == 0) {
		return nil, false, fmt.Errorf("image %s is in use by container %s: remove that first (rm)", ref, strings.Join(holders, ", "))
	}
	for _, name := range names {
		image.Leave(index, name)
		done = append(done, "Untagged: "+image.Familiar(name))
	}
	if len(holders) == 0 {
		index.Manifests = slices.DeleteFunc(index.Manifests, func(d v1.Descriptor) bool { return d.Digest == entry.Digest })
		done = append(done, "Deleted: "+id)
	}
	return done, len(holders) == 0, nil
}

// collect moves blobs and layers that no image needs to tmp, where the next
// sweep removes them. This works on a full disk. The caller holds the lock.
func (s *Store) collect() error {
	if err := s.sweep(); err != nil {
		return err
	}
	in := os.DirFS(s.Root)
	if jobs, err := fs.Glob(in, "tmp/"+adding+"*"); err != nil || len(jobs) > 0 {
		logrus.Info("another command is adding an image: the next rmi removes what is not needed any more")
		return err
	}
	needed, err := s.needed()
	if err != nil {
		return fmt.Errorf("find out which layers are needed: %w: remove that image (rmi)", err)
	}
	all, err := fs.Glob(in, "*/sha256/*")
	if err != nil {
		return err
	}
	for _, name := range all {
		path := s.Path(name)
		if needed[path] {
			continue
		}
		if err := os.Rename(path, s.Path("tmp", rand.Text())); err != nil {
			return err
		}
	}
	return nil
}

// needed returns the paths of all images' blobs and layers.
func (s *Store) needed() (map[string]bool, error) {
	index, err := s.readIndex()
	if err != nil {
		return nil, err
	}
	needed := map[string]bool{}
	for _, d := range index.Manifests {
		img, err := s.readImage(index, d)
		if err != nil {
			return nil, err
		}
		for _, blob := range append(img.Manifest.Layers, d, img.Manifest.Config) {
			needed[s.BlobPath(blob.Digest)] = true
		}
		for i, diffID := range img.Config.RootFS.DiffIDs {
			needed[s.LayerPath(diffID)] = true
			needed[s.ChainPath(img.Config.RootFS.DiffIDs[:i+1])] = true
		}
	}
	return needed, nil
}
