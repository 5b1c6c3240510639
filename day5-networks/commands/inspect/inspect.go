// Package inspect is the command inspect: everything about a container or an
// image, under the names that docker inspect uses. The ladder has no rung for
// it.
package inspect

import (
	"errors"
	"fmt"

	urfave "github.com/urfave/cli/v2"

	"example.com/go-docker/day5-networks/commands/action"
	"example.com/go-docker/day5-networks/commands/output"
	"example.com/go-docker/day5-networks/containers"
	"example.com/go-docker/day5-networks/lifecycle"
	"example.com/go-docker/day5-networks/store"
)

// Command is the command inspect.
var Command = &urfave.Command{
	Name:      "inspect",
	Usage:     "show everything about containers or images, as JSON",
	ArgsUsage: "CONTAINER|IMAGE...",
	Flags: []urfave.Flag{
		&urfave.StringFlag{Name: "format", Aliases: []string{"f"}, Usage: "a `TEMPLATE`, like '{{.State.Status}}'"},
		&urfave.StringFlag{Name: "type", Usage: "container or image (default: either)"},
	},
	Action: func(ctx *urfave.Context) error {
		if !ctx.Args().Present() {
			return errors.New("inspect requires a container or an image: see inspect --help")
		}
		show, err := output.Objects(ctx.String("format"))
		if err != nil {
			return err
		}
		s, err := action.OpenStore(ctx)
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
		return errors.Join(missing, show(all))
	},
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
