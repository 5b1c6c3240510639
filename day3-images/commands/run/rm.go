package run

import (
	"strings"

	urfave "github.com/urfave/cli/v2"

	"example.com/go-docker/day3-images/commands/action"
	"example.com/go-docker/day3-images/containers"
)

// Remove is the command rm.
var Remove = &urfave.Command{
	Name:      "rm",
	Usage:     "remove containers that have ended",
	ArgsUsage: "CONTAINER...",
	Action: func(ctx *urfave.Context) error {
		s, err := action.OpenStore(ctx)
		if err != nil {
			return err
		}
		return action.EachArgument(ctx, func(ref string) ([]string, error) {
			c, err := containers.Find(s, ref)
			if err != nil {
				return nil, err
			}
			if err := c.Remove(); err != nil {
				return nil, err
			}
			return []string{strings.TrimSpace(ref)}, nil
		})
	},
}
