// Package control has the commands that change a container's state and wait for
// the change: stop, kill, pause, rename, rm and so on.
//
// It grew from rung 07-stop, and takes any number of containers at once: an
// error with one does not hold up the others.
package control

import (
	"fmt"
	"strconv"

	urfave "github.com/urfave/cli/v2"

	"example.com/go-docker/day4-lifecycle/commands/action"
	"example.com/go-docker/day4-lifecycle/commands/named"
	"example.com/go-docker/day4-lifecycle/containers"
	"example.com/go-docker/day4-lifecycle/lifecycle"
)

// Wait is the command wait.
var Wait = &urfave.Command{
	Name:      "wait",
	Usage:     "wait until containers end, and print their exit statuses",
	ArgsUsage: "CONTAINER...",
	Action: func(ctx *urfave.Context) error {
		return named.Each(ctx, func(ref string) (string, error) {
			c, err := named.Find(ctx, ref)
			if err != nil {
				return "", err
			}
			status, err := c.Wait()
			return strconv.Itoa(status), err
		})
	},
}

// Pause is the command pause or, if freeze is false, unpause.
func Pause(name string, freeze bool) *urfave.Command {
	usage := map[bool]string{true: "stop all processes of containers, which do not notice", false: "let paused containers go on"}[freeze]
	return &urfave.Command{
		Name: name, Usage: usage, ArgsUsage: "CONTAINER...",
		Action: func(ctx *urfave.Context) error {
			return named.EachContainer(ctx, func(c *lifecycle.Container) error { return c.Pause(freeze) })
		},
	}
}

// Rename is the command rename.
var Rename = &urfave.Command{
	Name:      "rename",
	Usage:     "give a container another name",
	ArgsUsage: "CONTAINER NAME",
	Action: func(ctx *urfave.Context) error {
		c, err := named.One(ctx, 2, 2)
		if err != nil {
			return err
		}
		name := ctx.Args().Get(1)
		if err := containers.CheckName(name); err != nil {
			return fmt.Errorf("invalid name %q: %w", name, err)
		}
		s, err := action.OpenStore(ctx)
		if err != nil {
			return err
		}
		return containers.Rename(s, c.Container, name)
	},
}
