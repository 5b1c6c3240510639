package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"example.com/go-docker/day4-lifecycle/image"
	"example.com/go-docker/day4-lifecycle/layer"
	"example.com/go-docker/day4-lifecycle/store"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sync/errgroup"
)

// A Pull is one image on its way from a registry into the store.
type Pull struct {
	Store    *store.Store
	Ref      image.Reference
	Platform v1.Platform
	Strict   bool // the platform was asked for, not assumed
	registry *registry
	Progress *progress
	quota    *layer.Quota
	known    store.Known
}

// pulled is what came of it.
type pulled struct {
	Digest v1.Hash // the registry's name for it
	IsNew  bool
}

// Run fetches the image and gives it its name. Whatever happens before that,
// the store has the same images as before; but layers that are complete stay
// until the next rmi, and a second try does not fetch them again.
func (p *Pull) Run(ctx context.Context, insecure []string) (got pulled, err error) {
	adding, err := p.Store.BeginAdding(ctx)
	if err != nil {
		return got, err
	}
	defer func() { err = errors.Join(err, adding.End()) }()
	if p.registry, err = openRegistry(ctx, p.Ref, insecure); err != nil {
		return got, err
	}
	text, digest, err := p.manifest(ctx)
	if err != nil {
		return got, err
	}
	m, err := image.ParseManifest(text)
	if err != nil {
		return got, err
	}
	configText, err := p.config(ctx, m.Config)
	if err != nil {
		return got, err
	}
	config, err := image.ParseConfig(configText, m)
	if err != nil {
		return got, err
	}
	if err := p.checkPlatform(config); err != nil {
		return got, err
	}
	if err := p.layers(ctx, m, config); err != nil {
		return got, err
	}
	if _, err := p.Store.WriteBlob(adding, configText); err != nil {
		return got, err
	}
	manifest, err := p.Store.WriteBlob(adding, text)
	if err != nil {
		return got, err
	}
	manifest.MediaType, manifest.Platform = image.MediaTypeOf(m), config.Platform()
	got.Digest = digest
	got.IsNew, err = p.Store.Publish(manifest, p.Ref.String(), digest)
	return got, err
}

// manifest returns the manifest for our platform, and the digest of what the
// name stands for: of that manifest, or of an index it was chosen from.
func (p *Pull) manifest(ctx context.Context) (text []byte, digest v1.Hash, err error) {
	id := p.Ref.Tag
	if id == "" {
		id = p.Ref.Digest.String()
	}
	text, kind, err := p.registry.manifest(ctx, id)
	if err != nil {
		return nil, digest, explainRegistry(p.Ref, err)
	}
	digest = image.SHA256(text)
	if p.Ref.Tag == "" && digest != p.Ref.Digest {
		return nil, digest, p.somethingElse(p.Ref.Digest, digest)
	}
	index, err := image.IsIndex(text, kind)
	if err != nil || !index {
		return text, digest, err
	}
	list, err := image.ParseIndex(text)
	if err != nil {
		return nil, digest, err
	}
	chosen, err := image.Choose(list, p.Platform)
	if err != nil {
		return nil, digest, err
	}
	text, _, err = p.registry.manifest(ctx, chosen.Digest.String())
	if err != nil {
		return nil, digest, explainRegistry(p.Ref, err)
	}
	if sum := image.SHA256(text); sum != chosen.Digest {
		return nil, digest, p.somethingElse(chosen.Digest, sum)
	}
	return text, digest, nil
}

func (p *Pull) somethingElse(want, got v1.Hash) error {
	return fmt.Errorf("%s was asked for manifest %s and sent something else, with the digest %s", p.registry.host, want, got)
}

func (p *Pull) config(ctx context.Context, blob v1.Descriptor) ([]byte, error) {
	if blob.Size > image.MaxDocument {
		return nil, fmt.Errorf("the image's configuration is longer than %d bytes", image.MaxDocument)
	}
	body := p.registry.blob(ctx, blob)
	defer body.Close()
	return io.ReadAll(body)
}

// checkPlatform looks at the image itself: what was not in an index has not
// been chosen by anybody.
func (p *Pull) checkPlatform(config *v1.ConfigFile) error {
	is := v1.Platform{OS: config.OS, Architecture: config.Architecture, Variant: config.Variant}
	if is.OS == "" && is.Architecture == "" || image.Fit(is, p.Platform) > 0 {
		return nil
	}
	hint := ""
	if !p.Strict {
		hint = fmt.Sprintf(" (--platform %s gets it all the same)", image.PlatformName(is))
	}
	return fmt.Errorf("no image for %s: there is %s%s", image.PlatformName(p.Platform), image.PlatformName(is), hint)
}

// layers gets the layers that are missing, several at a time.
func (p *Pull) layers(ctx context.Context, m *v1.Manifest, config *v1.ConfigFile) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(store.LayersAtOnce)
	p.quota = store.NewQuota()
	known, err := p.Store.KnownLayers()
	if err != nil {
		return err
	}
	p.known = known
	for i, blob := range m.Layers {
		group.Go(func() error { return p.layer(ctx, blob, config.RootFS.DiffIDs[i]) })
	}
	return group.Wait()
}

// layer fetches one layer, and unpacks it while it arrives.
func (p *Pull) layer(ctx context.Context, blob v1.Descriptor, diffID v1.Hash) (err error) {
	s, bar := p.Store, p.Progress.start(blob.Digest, blob.Size)
	j, err := s.Begin(ctx, "blob-"+blob.Digest.Hex) // somebody else may be fetching it
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, j.End()) }()
	if s.HasBlob(blob) {
		if !s.HasLayer(diffID) || !p.known.Has(blob.Digest, diffID) {
			err = s.UnpackBlob(ctx, blob, diffID, p.quota)
		}
		if err == nil {
			bar.done("Already exists")
		}
		return err
	}
	body := p.registry.blob(ctx, blob)
	defer body.Close()
	file, err := os.Create(j.Path("blob"))
	if err != nil {
		return err
	}
	defer file.Close()
	content := io.TeeReader(body, io.MultiWriter(file, bar))
	if err := s.Unpack(ctx, content, diffID, p.quota); err != nil {
		return err
	}
	if err := s.AdoptBlob(file.Name(), blob); err != nil {
		return err
	}
	bar.done("Pull complete")
	return nil
}
