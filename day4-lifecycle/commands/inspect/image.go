package inspect

import (
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"example.com/go-docker/day4-lifecycle/image"
	"example.com/go-docker/day4-lifecycle/snapshot"
	"example.com/go-docker/day4-lifecycle/store"
)

// inspected has the names and the order of docker inspect.
type inspected struct {
	ID           string `json:"Id"`
	RepoTags     []string
	RepoDigests  []string
	Created      time.Time
	Author       string
	Config       v1.Config
	Architecture string
	Variant      string `json:",omitempty"`
	Os           string
	Size         int64
	GraphDriver  graphDriver
	RootFS       rootFS
	Manifest     v1.Hash // its digest, its name in blobs/sha256
}

// graphDriver says where the unpacked layers are, uppermost first.
type graphDriver struct {
	Name string
	Data map[string]string
}

type rootFS struct {
	Type   string
	Layers []v1.Hash // diff IDs
}

func inspect(s *store.Store, img *store.Image) (*inspected, error) {
	size, err := snapshot.Size(s, img)
	if err != nil {
		return nil, err
	}
	c := img.Config
	i := &inspected{
		ID: img.ID, RepoTags: []string{}, RepoDigests: []string{},
		Created: c.Created.Time, Author: c.Author, Config: c.Config,
		Architecture: c.Architecture, Variant: c.Variant, Os: c.OS, Size: size,
		RootFS:   rootFS{c.RootFS.Type, c.RootFS.DiffIDs},
		Manifest: img.Descriptor.Digest,
	}
	for _, name := range img.Names {
		if _, tag := image.SplitName(name); tag != "" {
			i.RepoTags = append(i.RepoTags, image.Familiar(name))
		}
	}
	for _, digest := range img.Digests {
		i.RepoDigests = append(i.RepoDigests, image.Familiar(digest))
	}
	var dirs []string
	for _, diffID := range slices.Backward(c.RootFS.DiffIDs) {
		dirs = append(dirs, s.LayerPath(diffID))
	}
	i.GraphDriver = graphDriver{"overlay", map[string]string{"LowerDir": strings.Join(dirs, ":")}}
	return i, nil
}
