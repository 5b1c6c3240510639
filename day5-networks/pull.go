package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"example.com/go-docker/day5-networks/image"
	"example.com/go-docker/day5-networks/registry"
	"example.com/go-docker/day5-networks/store"
	"github.com/sirupsen/logrus"
	urfave "github.com/urfave/cli/v2"
)

var pullCommand = &urfave.Command{
	Name:      "pull",
	Usage:     "get an image from a registry",
	ArgsUsage: "NAME[:TAG|@DIGEST]",
	Flags: []urfave.Flag{
		platformFlag("of the image"),
		&urfave.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "show no progress", DisableDefaultText: true},
		insecureFlag(),
	},
	Action: withStore(1, 1, "one image name", func(until context.Context, ctx *urfave.Context, s *store.Store) error {
		ref, err := image.ParseReference(ctx.Args().First())
		if err != nil {
			return err
		}
		if err := pull(until, ctx, s, ref); err != nil {
			return err
		}
		fmt.Println(ref)
		return nil
	}),
}

func insecureFlag() urfave.Flag {
	return &urfave.StringSliceFlag{Name: "insecure-registry", EnvVars: []string{"GO_DOCKER_INSECURE_REGISTRY"}, Usage: "`HOST[:PORT]` may use http"}
}

// pull pulls and says on standard error how it goes.
func pull(until context.Context, ctx *urfave.Context, s *store.Store, ref image.Reference) error {
	if err := requireRoot(); err != nil {
		return err
	}
	platform, err := platformFrom(ctx)
	if err != nil {
		return err
	}
	options := registry.Options{Platform: platform, Insecure: ctx.StringSlice("insecure-registry")}
	if !ctx.Bool("quiet") {
		options.Progress = os.Stderr
	}
	name := image.Familiar(ref.String())
	got, err := registry.Pull(until, s, ref, options)
	if err != nil {
		return fmt.Errorf("pull %s: %w", name, err)
	}
	status := "Image is up to date for"
	if got.IsNew {
		status = "Downloaded newer image for"
	}
	if !ctx.Bool("quiet") {
		fmt.Fprintf(os.Stderr, "Digest: %s\nStatus: %s %s\n", got.Digest, status, name)
	}
	return nil
}

// resolveOrPull is for run: what is not in the store comes from the registry.
func resolveOrPull(ctx *urfave.Context, s *store.Store, name string) (*store.Image, error) {
	img, err := s.Resolve(name)
	if !errors.Is(err, store.ErrNoImage) || strings.HasPrefix(name, "sha256:") { // an ID: no registry knows it
		return img, err
	}
	ref, err := image.ParseReference(name)
	if err != nil {
		return nil, err
	}
	logrus.Infof("image %s is not in the store: pulling it", name)
	if err := interruptible(func(until context.Context) error { return pull(until, ctx, s, ref) }); err != nil {
		return nil, err
	}
	return s.Resolve(name)
}
