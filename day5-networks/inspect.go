package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"text/template"
	"time"

	"example.com/go-docker/day5-networks/containers"
	"example.com/go-docker/day5-networks/image"
	"example.com/go-docker/day5-networks/lifecycle"
	"example.com/go-docker/day5-networks/snapshot"
	"example.com/go-docker/day5-networks/store"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	urfave "github.com/urfave/cli/v2"
)

var inspectCommand = &urfave.Command{
	Name:      "inspect",
	Usage:     "show all about containers or images, as JSON",
	ArgsUsage: "CONTAINER|IMAGE...",
	Flags: []urfave.Flag{
		&urfave.StringFlag{Name: "format", Aliases: []string{"f"}, Usage: "a `TEMPLATE`, like '{{.State.Status}}'"},
		&urfave.StringFlag{Name: "type", Usage: "container or image (default: either)"},
	},
	Action: func(ctx *urfave.Context) error {
		if !ctx.Args().Present() {
			return errors.New("inspect requires a container or an image: see inspect --help")
		}
		line, err := template.New("format").Funcs(templateFuncs).Option("missingkey=error").Parse(ctx.String("format") + "\n")
		if err != nil {
			return fmt.Errorf("invalid --format %q: %w", ctx.String("format"), err)
		}
		s, err := openStore(ctx)
		if err != nil {
			return err
		}
		all, missing := []any{}, error(nil)
		for _, ref := range ctx.Args().Slice() {
			i, err := inspectAny(s, ref, ctx.String("type"))
			if err != nil {
				missing = errors.Join(missing, err)
				continue
			}
			all = append(all, i)
		}
		if len(all) == 0 {
			return missing
		}
		if ctx.String("format") != "" {
			for _, i := range all {
				if err := line.Execute(os.Stdout, asJSON(i)); err != nil {
					return fmt.Errorf("--format: %w", err)
				}
			}
			return missing
		}
		out := json.NewEncoder(os.Stdout)
		out.SetIndent("", "    ")
		out.SetEscapeHTML(false)
		return errors.Join(missing, out.Encode(all))
	},
}

// asJSON is a value with the names that it has in JSON: those that people know
// from Docker's templates.
func asJSON(v any) (m any) {
	text, err := json.Marshal(v)
	if err != nil {
		return v
	}
	in := json.NewDecoder(bytes.NewReader(text))
	in.UseNumber()
	if err := in.Decode(&m); err != nil {
		return v
	}
	return m
}

// inspectAny looks for a container and then for an image.
func inspectAny(s *store.Store, ref, kind string) (any, error) {
	if kind != "" && kind != "container" && kind != "image" {
		return nil, fmt.Errorf("invalid --type %q: want container or image", kind)
	}
	if kind != "image" {
		c, err := lifecycle.Find(s, ref)
		if err == nil {
			return inspectContainer(s, c)
		}
		if kind == "container" || !errors.Is(err, containers.ErrNone) {
			return nil, err
		}
	}
	img, err := s.Resolve(ref)
	if errors.Is(err, store.ErrNoImage) && kind == "" {
		err = fmt.Errorf("no such container or image: %q", ref)
	}
	if err != nil {
		return nil, err
	}
	return inspect(s, img)
}

// inspected has the names and the order of docker inspect.
type inspected struct {
	ID            string `json:"Id"`
	RepoTags      []string
	RepoDigests   []string
	Comment       string
	Created       time.Time
	Author        string
	Config        v1.Config
	Architecture  string
	Variant       string `json:",omitempty"`
	Os            string
	Size          int64
	GraphDriver   graphDriver
	RootFS        rootFS
	Manifest      v1.Hash // the digest of the manifest: blobs/sha256/...
	ManifestLayer []v1.Descriptor
}

// graphDriver says where the unpacked layers are, the uppermost first.
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
		Manifest: img.Descriptor.Digest, ManifestLayer: img.Manifest.Layers,
	}
	if n := len(c.History); n > 0 {
		i.Comment = c.History[n-1].Comment
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
