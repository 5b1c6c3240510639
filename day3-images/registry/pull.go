package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"example.com/go-docker/day3-images/image"
	"example.com/go-docker/day3-images/snapshot"
	"example.com/go-docker/day3-images/store"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Options say what to pull, and how.
type Options struct {
	Platform v1.Platform // zero: this machine's
	Insecure []string    // hosts that may speak plain HTTP
	Progress *os.File    // where to show progress; nil: nowhere
}

// A Result is the result of a pull.
type Result struct {
	Digest v1.Hash // the registry's digest for the image
	IsNew  bool    // the name stood for another image before, or for none
}

// A pull is one image on its way from a registry into the store.
type pull struct {
	store    *store.Store
	ref      image.Reference
	options  Options
	client   *client
	progress *progress
	unpacker *snapshot.Unpacker
}

// Pull fetches an image and, last of all, gives it its name. If anything fails
// before that, the store has the same images as before; but complete layers
// stay until the next rmi, so a second try need not fetch them again.
func Pull(ctx context.Context, s *store.Store, ref image.Reference, options Options) (got Result, err error) {
	j, err := s.BeginAdding(ctx)
	if err != nil {
		return got, err
	}
	defer func() { err = errors.Join(err, j.End()) }()
	p := &pull{store: s, ref: ref, options: options, progress: newProgress(options.Progress)}
	if p.client, err = open(ctx, ref, options.Insecure); err != nil {
		return got, explain(ref, err)
	}
	manifest, m, digest, err := p.manifest(ctx)
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
	isNew, err := s.Publish(j, manifest, configText, ref.String(), digest)
	return Result{digest, isNew}, err
}

// manifest returns the manifest for our platform, and the digest that the name
// stands for: that of the manifest, or of the index it was chosen from.
func (p *pull) manifest(ctx context.Context) (text []byte, m *v1.Manifest, digest v1.Hash, err error) {
	id := p.ref.Tag
	if id == "" {
		id = p.ref.Digest.String()
	}
	text, kind, err := p.document(ctx, id, p.ref.Digest)
	if err != nil {
		return nil, nil, digest, err
	}
	digest = image.SHA256(text)
	text, m, err = image.ChooseManifest(text, kind, image.OrHost(p.options.Platform), func(d v1.Descriptor) ([]byte, error) {
		if d.MediaType.IsConfig() {
			return p.config(ctx, d)
		}
		text, _, err := p.document(ctx, d.Digest.String(), d.Digest)
		return text, err
	})
	return text, m, digest, err
}

// document fetches a manifest or an index. If the name has no digest, any
// content will do.
func (p *pull) document(ctx context.Context, id string, want v1.Hash) ([]byte, types.MediaType, error) {
	text, kind, err := p.client.manifest(ctx, id)
	if err != nil {
		return nil, "", explain(p.ref, err)
	}
	if sum := image.SHA256(text); want != (v1.Hash{}) && sum != want {
		return nil, "", fmt.Errorf("%s was asked for manifest %s and sent something else, with the digest %s", p.client.host, want, sum)
	}
	return text, kind, nil
}

func (p *pull) config(ctx context.Context, blob v1.Descriptor) (text []byte, err error) {
	if blob.Size > image.MaxDocument {
		return nil, fmt.Errorf("the image's configuration is longer than %d bytes", image.MaxDocument)
	}
	err = retry(ctx, func() error {
		body, err := p.client.blob(ctx, blob)
		if err != nil {
			return err
		}
		defer body.Close()
		text, err = io.ReadAll(body)
		return err
	})
	return text, err
}

// checkPlatform checks the image itself: one that did not come from an index
// was not chosen for our platform.
func (p *pull) checkPlatform(config *v1.ConfigFile) error {
	err := image.CheckPlatform(config, image.OrHost(p.options.Platform))
	if err != nil && p.options.Platform.OS == "" {
		return fmt.Errorf("%w (--platform %s gets it all the same)", err, image.PlatformOf(config))
	}
	return err
}

// layers fetches the missing layers, several at a time.
func (p *pull) layers(ctx context.Context, m *v1.Manifest, config *v1.ConfigFile) (err error) {
	if p.unpacker, err = snapshot.NewUnpacker(p.store); err != nil {
		return err
	}
	defer p.progress.erase()
	return p.unpacker.Layers(ctx, config, func(ctx context.Context, i int, diffID v1.Hash) error {
		return p.layer(ctx, m.Layers[i], diffID)
	})
}

// layer fetches one layer unless it is already there. If the download breaks
// off, it starts again.
func (p *pull) layer(ctx context.Context, blob v1.Descriptor, diffID v1.Hash) (err error) {
	j, err := p.store.Begin(ctx, "blob-"+blob.Digest.Hex) // another command may be fetching it
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, j.End()) }()
	if p.store.HasBlob(blob) {
		if err := p.unpacker.Blob(ctx, blob, diffID); err != nil {
			return err
		}
		p.progress.done(blob, "Already exists")
		return nil
	}
	if err := retry(ctx, func() error { return p.fetch(ctx, j, blob, diffID) }); err != nil {
		return fmt.Errorf("layer %s: %w", blob.Digest, err)
	}
	p.progress.done(blob, "Pull complete")
	return nil
}

// fetch unpacks a layer while downloading it.
func (p *pull) fetch(ctx context.Context, j *store.Job, blob v1.Descriptor, diffID v1.Hash) (err error) {
	body, err := p.client.blob(ctx, blob)
	if err != nil {
		return err
	}
	defer body.Close()
	file, err := os.Create(j.Path("blob"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	if err := p.unpacker.Stream(ctx, io.TeeReader(body, io.MultiWriter(file, p.progress)), diffID); err != nil {
		return err
	}
	return p.store.AdoptBlob(file.Name(), blob)
}
