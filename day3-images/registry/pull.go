package registry

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"example.com/go-docker/day3-images/image"
	"example.com/go-docker/day3-images/snapshot"
	"example.com/go-docker/day3-images/store"
	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Options say what to pull, and how.
type Options struct {
	Platform v1.Platform
	Insecure []string // hosts that may speak plain HTTP
	Progress *os.File // where to show progress; nil: nowhere
}

// A pull is one image on its way from a registry into the store.
type pull struct {
	store    *store.Store
	client   *client
	progress *progress
	unpacker *snapshot.Unpacker
}

// Pull fetches an image and, last of all, gives it its name. If anything fails
// before that, the store has the same images as before; but complete layers
// stay until the next rmi, so a second try need not fetch them again. Pull
// returns the registry's digest for the image, and whether the name stood for
// another image before, or for none.
func Pull(ctx context.Context, s *store.Store, ref image.Reference, options Options) (digest v1.Hash, isNew bool, err error) {
	j, err := s.BeginAdding(ctx)
	if err != nil {
		return digest, false, err
	}
	defer func() { err = errors.Join(explain(ref, err), j.End()) }()
	p := &pull{store: s, progress: newProgress(options.Progress)}
	if p.client, err = open(ctx, ref, options.Insecure); err != nil {
		return digest, false, err
	}
	id := cmp.Or(ref.Tag, ref.Digest.String())
	text, kind, err := p.client.document(ctx, "manifests/"+id, ref.Digest)
	if err != nil {
		return digest, false, err
	}
	digest = image.SHA256(text)
	manifest, m, err := image.ChooseManifest(text, kind, options.Platform, func(d v1.Descriptor) ([]byte, error) { return p.document(ctx, d) })
	if err != nil {
		return digest, false, err
	}
	configText, err := p.document(ctx, m.Config)
	if err != nil {
		return digest, false, err
	}
	config, err := image.ParseConfig(configText, m)
	if err != nil {
		return digest, false, err
	}
	// An image that does not come from an index was not chosen for our platform.
	if err := image.CheckPlatform(config, options.Platform); err != nil {
		return digest, false, err
	}
	if err := p.layers(ctx, m, config); err != nil {
		return digest, false, err
	}
	isNew, err = s.Publish(j, manifest, configText, ref.String(), digest)
	return digest, isNew, err
}

// document fetches what a descriptor describes.
func (p *pull) document(ctx context.Context, d v1.Descriptor) ([]byte, error) {
	place := map[bool]string{true: "blobs/", false: "manifests/"}[d.MediaType.IsConfig()]
	text, _, err := p.client.document(ctx, place+d.Digest.String(), d.Digest)
	if err == nil && d.MediaType.IsConfig() && int64(len(text)) != d.Size {
		err = fmt.Errorf("the image's configuration has %d bytes, and is said to have %d", len(text), d.Size)
	}
	return text, err
}

// layers fetches the missing layers, several at a time.
func (p *pull) layers(ctx context.Context, m *v1.Manifest, config *v1.ConfigFile) (err error) {
	if p.unpacker, err = snapshot.NewUnpacker(p.store); err != nil {
		return err
	}
	defer p.progress.print("") // erases the line that counts
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
	response, err := p.client.get(context.WithValue(ctx, isLayer{}, true), "blobs/"+blob.Digest.String())
	if err != nil {
		return err
	}
	defer response.Body.Close()
	file, err := os.Create(j.Path("blob"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	body := image.Verify(response.Body, "what "+p.client.host+" sent for", blob.Digest, blob.Size)
	if err := p.unpacker.Stream(ctx, io.TeeReader(body, io.MultiWriter(file, p.progress)), diffID); err != nil {
		return err
	}
	return p.store.AdoptBlob(file.Name(), blob)
}
