package fetch

import (
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	urfave "github.com/urfave/cli/v2"

	"example.com/go-docker/day4-lifecycle/image"
)

// PlatformFlag is --platform; usage completes its line in the help.
func PlatformFlag(usage string) urfave.Flag {
	return &urfave.StringFlag{Name: "platform", Usage: "`OS/ARCH[/VARIANT]` " + usage + " (default: this machine's)"}
}

// Platform returns a zero platform when none was asked for.
func Platform(ctx *urfave.Context) (v1.Platform, error) {
	if !ctx.IsSet("platform") {
		return v1.Platform{}, nil
	}
	p, err := image.ParsePlatform(ctx.String("platform"))
	if err != nil {
		return p, fmt.Errorf("invalid --platform %q: %w", ctx.String("platform"), err)
	}
	return p, nil
}

// InsecureFlag is --insecure-registry.
func InsecureFlag() urfave.Flag {
	return &urfave.StringSliceFlag{Name: "insecure-registry", EnvVars: []string{"GO_DOCKER_INSECURE_REGISTRY"}, Usage: "`HOST[:PORT]` may use http"}
}
