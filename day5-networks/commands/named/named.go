// Package named finds the containers named on the command line. The ladder has
// no rung for it, because its programs know their container's directory.
package named

import (
	"errors"
	"fmt"
	"strings"

	"github.com/sirupsen/logrus"
	urfave "github.com/urfave/cli/v2"

	"example.com/go-docker/day5-networks/commands/action"
	"example.com/go-docker/day5-networks/container"
	"example.com/go-docker/day5-networks/containers"
	"example.com/go-docker/day5-networks/lifecycle"
)

// Find opens the store and finds one container.
func Find(ctx *urfave.Context, ref string) (*lifecycle.Container, error) {
	s, err := action.OpenStore(ctx)
	if err != nil {
		return nil, err
	}
	return lifecycle.Find(s, ref)
}

// One finds the container that the command's first argument names, if it has
// least to most arguments.
func One(ctx *urfave.Context, least, most int) (*lifecycle.Container, error) {
	if ctx.NArg() < least || most > 0 && ctx.NArg() > most {
		return nil, fmt.Errorf("%[1]s requires %[2]s: see %[1]s --help", ctx.Command.Name, ctx.Command.ArgsUsage)
	}
	return Find(ctx, ctx.Args().First())
}

// Each calls do for each container named, prints its name, and goes on after an
// error.
func Each(ctx *urfave.Context, do func(c *lifecycle.Container) error) error {
	if !ctx.Args().Present() {
		return fmt.Errorf("%[1]s requires a container: see %[1]s --help", ctx.Command.Name)
	}
	status := 0
	for _, ref := range ctx.Args().Slice() {
		c, err := Find(ctx, ref)
		if err == nil {
			err = do(c)
		} else if ctx.Bool("force") && errors.Is(err, containers.ErrNone) { // rm -f
			continue
		}
		if err != nil {
			logrus.Error(err)
			status = 1
			continue
		}
		if ctx.Command.Name != "wait" {
			fmt.Println(strings.TrimSpace(ref))
		}
	}
	if status != 0 {
		return container.StatusError{Status: status}
	}
	return nil
}
