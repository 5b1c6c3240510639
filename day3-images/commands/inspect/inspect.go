// Package inspect is the command inspect: everything about an image, under the
// names that docker inspect uses. The ladder has no rung for it.
package inspect

import (
	"context"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	urfave "github.com/urfave/cli/v2"

	"example.com/go-docker/day3-images/commands/action"
	"example.com/go-docker/day3-images/image"
	"example.com/go-docker/day3-images/snapshot"
	"example.com/go-docker/day3-images/store"
)

// Command is the command inspect.
var Command = &urfave.Command{
	Name:      "inspect",
	Usage:     "show everything about images, as JSON",
	ArgsUsage: "IMAGE...",
	Action: action.WithStore(1, -1, "an image", func(_ context.Context, ctx *urfave.Context, s *store.Store) error {
		var all []*inspected
		for _, ref := range ctx.Args().Slice() {
			i, err := inspect(s, ref)
			if err != nil {
				return err
			}
			all = append(all, i)
		}
		out := json.NewEncoder(os.Stdout)
		out.SetIndent("", "    ")
		out.SetEscapeHTML(false)
		return out.Encode(all)
	}),
}

// inspected has the names and the order of docker inspect.
type inspected struct {
	ID                    string `json:"Id"`
	RepoTags, RepoDigests []string
	Created               time.Time
	Author                string
	Config                v1.Config
	Architecture          string
	Variant               string `json:",omitempty"`
	Os                    string
	Size                  int64
	GraphDriver           struct {
		Name string
		Data map[string]string
	}
	RootFS struct {
		Type   string
		Layers []v1.Hash // diff IDs
	}
	Manifest v1.Hash // its digest, its name in blobs/sha256
}

func inspect(s *store.Store, ref string) (*inspected, error) {
	img, err := s.Resolve(ref)
	if err != nil {
		return nil, err
	}
	c := img.Config
	i := &inspected{
		ID: img.ID, RepoTags: []string{}, RepoDigests: []string{}, Created: c.Created.Time, Author: c.Author, Config: c.Config,
		Architecture: c.Architecture, Variant: c.Variant, Os: c.OS, Manifest: img.Descriptor.Digest,
	}
	i.RootFS.Type, i.RootFS.Layers = c.RootFS.Type, c.RootFS.DiffIDs
	for _, name := range img.Names {
		if _, tag := image.SplitName(name); tag != "" {
			i.RepoTags = append(i.RepoTags, image.Familiar(name))
		}
	}
	for _, digest := range img.Digests {
		i.RepoDigests = append(i.RepoDigests, image.Familiar(digest))
	}
	var dirs []string // the uppermost first
	for _, diffID := range slices.Backward(c.RootFS.DiffIDs) {
		dirs = append(dirs, s.LayerPath(diffID))
	}
	i.GraphDriver.Name, i.GraphDriver.Data = "overlay", map[string]string{"LowerDir": strings.Join(dirs, ":")}
	i.Size, err = snapshot.Size(s, img)
	return i, err
}
