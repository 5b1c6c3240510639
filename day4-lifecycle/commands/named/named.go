// Package named is what commands do with the containers, and whatever else, that
// the command line names. The ladder has no rung for it, because its programs
// know their container's directory.
package named

import (
	"errors"
	"fmt"
	"strings"

	"github.com/sirupsen/logrus"
	urfave "github.com/urfave/cli/v2"

	"example.com/go-docker/day4-lifecycle/commands/action"
	"example.com/go-docker/day4-lifecycle/container"
	"example.com/go-docker/day4-lifecycle/containers"
	"example.com/go-docker/day4-lifecycle/lifecycle"
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

// EachContainer calls do for each container named, and prints its name.
func EachContainer(ctx *urfave.Context, do func(c *lifecycle.Container) error) error {
	return Each(ctx, func(ref string) (string, error) {
		c, err := Find(ctx, ref)
		if err == nil {
			err = do(c)
		} else if ctx.Bool("force") && errors.Is(err, containers.ErrNone) { // rm -f
			return "", nil
		}
		return strings.TrimSpace(ref), err
	})
}

// Each calls do for each thing named, prints what that returns unless it is "",
// and goes on after an error.
func Each(ctx *urfave.Context, do func(name string) (done string, err error)) (failed error) {
	if !ctx.Args().Present() {
		return fmt.Errorf("%[1]s requires %[2]s: see %[1]s --help", ctx.Command.Name, ctx.Command.ArgsUsage)
	}
	for _, name := range ctx.Args().Slice() {
		done, err := do(name)
		if err != nil {
			logrus.Error(err)
			failed = container.StatusError{Status: 1}
		} else if done != "" {
			fmt.Println(done)
		}
	}
	return failed
}

// Confirmed asks whether everything of a kind is to be removed, and returns the
// answer. With --force it is yes.
func Confirmed(ctx *urfave.Context, kind string) bool {
	if ctx.Bool("force") {
		return true
	}
	fmt.Printf("WARNING! This will remove all %s.\nAre you sure you want to continue? [y/N] ", kind)
	var answer string
	_, err := fmt.Scanln(&answer)
	return err == nil && strings.EqualFold(answer, "y")
}
