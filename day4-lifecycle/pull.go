package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"example.com/go-docker/day4-lifecycle/image"
	"example.com/go-docker/day4-lifecycle/registry"
	"example.com/go-docker/day4-lifecycle/store"
	"github.com/sirupsen/logrus"
	urfave "github.com/urfave/cli/v2"
)

var pullCommand = &urfave.Command{
	Name:      "pull",
	Usage:     "get an image from a registry",
	ArgsUsage: "NAME[:TAG|@DIGEST]",
	Flags: []urfave.Flag{
		&urfave.StringFlag{Name: "platform", Usage: "`OS/ARCH[/VARIANT]` of the image (default: this machine's)"},
		&urfave.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "show no progress", DisableDefaultText: true},
		insecureFlag(),
	},
	Action: func(ctx *urfave.Context) error {
		if ctx.NArg() != 1 {
			return errors.New("pull requires one image name: see pull --help")
		}
		s, err := store.Open(ctx.String("root"))
		if err != nil {
			return err
		}
		ref, err := image.ParseReference(ctx.Args().First())
		if err != nil {
			return err
		}
		p := &registry.Pull{Store: s, Ref: ref, Platform: image.HostPlatform()}
		if ctx.IsSet("platform") {
			if p.Platform, err = image.ParsePlatform(ctx.String("platform")); err != nil {
				return fmt.Errorf("invalid --platform %q: %w", ctx.String("platform"), err)
			}
			p.Strict = true
		}
		if err := runPull(p, ctx.StringSlice("insecure-registry"), ctx.Bool("quiet")); err != nil {
			return err
		}
		fmt.Println(ref)
		return nil
	},
}

func insecureFlag() urfave.Flag {
	return &urfave.StringSliceFlag{Name: "insecure-registry", EnvVars: []string{"GO_DOCKER_INSECURE_REGISTRY"}, Usage: "`HOST[:PORT]` that may speak plain http"}
}

// command pulls and says on standard error how it goes.
func runPull(p *registry.Pull, insecure []string, quiet bool) error {
	if os.Geteuid() != 0 {
		return errNotRoot
	}
	return interruptible(func(ctx context.Context) error {
		p.Progress = registry.NewProgress(os.Stderr, quiet)
		got, err := p.Run(ctx, insecure)
		p.Progress.Close()
		if err != nil {
			return fmt.Errorf("pull %s: %w", image.Familiar(p.Ref.String()), err)
		}
		status := "Image is up to date for"
		if got.IsNew {
			status = "Downloaded newer image for"
		}
		if !quiet {
			fmt.Fprintf(os.Stderr, "Digest: %s\nStatus: %s %s\n", got.Digest, status, image.Familiar(p.Ref.String()))
		}
		return nil
	})
}

var errNotRoot = errors.New("a layer's files have owners and devices that only root can make: run as root")

// resolveOrPull is for run: what is not in the store comes from the registry.
func resolveOrPull(ctx *urfave.Context, s *store.Store, name string) (*store.Image, error) {
	img, err := s.Resolve(name)
	if !errors.Is(err, store.ErrNoImage) {
		return img, err
	}
	ref, err := image.ParseReference(name)
	if err != nil {
		return nil, err
	}
	logrus.Infof("image %s is not in the store: pulling it", name)
	p := &registry.Pull{Store: s, Ref: ref, Platform: image.HostPlatform()}
	if err := runPull(p, ctx.StringSlice("insecure-registry"), false); err != nil {
		return nil, err
	}
	return s.Resolve(name)
}
