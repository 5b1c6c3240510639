package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/sirupsen/logrus"
	urfave "github.com/urfave/cli/v2"

	"example.com/go-docker/day5-networks/connection"
	"example.com/go-docker/day5-networks/container"
	"example.com/go-docker/day5-networks/containers"
	"example.com/go-docker/day5-networks/lifecycle"
)

// lifecycleCommands are the commands about containers; the larger ones are in
// the file of the same name.
func lifecycleCommands() []*urfave.Command {
	return []*urfave.Command{
		runCommand(), createCommand(), startCommand, stopCommand, restartCommand, killCommand,
		waitCommand, rmCommand, psCommand, logsCommand, execCommand, attachCommand,
		pauseCommand("pause", true), pauseCommand("unpause", false), topCommand, renameCommand, cpCommand, exportCommand, portCommand,
		{Name: "container", Usage: "manage containers", Subcommands: []*urfave.Command{pruneCommand}},
	}
}

// find opens the store and finds one container.
func find(ctx *urfave.Context, ref string) (*lifecycle.Container, error) {
	s, err := openStore(ctx)
	if err != nil {
		return nil, err
	}
	return lifecycle.Find(s, ref)
}

// one finds the container that a command with so many arguments is about.
func one(ctx *urfave.Context, least, most int) (*lifecycle.Container, error) {
	if ctx.NArg() < least || most > 0 && ctx.NArg() > most {
		return nil, fmt.Errorf("%[1]s requires %[2]s: see %[1]s --help", ctx.Command.Name, ctx.Command.ArgsUsage)
	}
	return find(ctx, ctx.Args().First())
}

// each does something with each container that is named, prints the name, and
// goes on after an error.
func each(ctx *urfave.Context, do func(c *lifecycle.Container) error) error {
	if !ctx.Args().Present() {
		return fmt.Errorf("%[1]s requires a container: see %[1]s --help", ctx.Command.Name)
	}
	status := 0
	for _, ref := range ctx.Args().Slice() {
		c, err := find(ctx, ref)
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

var waitCommand = &urfave.Command{
	Name:      "wait",
	Usage:     "wait until containers have ended, and print their exit statuses",
	ArgsUsage: "CONTAINER...",
	Action: func(ctx *urfave.Context) error {
		return each(ctx, func(c *lifecycle.Container) error {
			status, err := c.Wait()
			if err == nil {
				fmt.Println(status)
			}
			return err
		})
	},
}

func pauseCommand(name string, freeze bool) *urfave.Command {
	usage := map[bool]string{true: "stop all processes of containers, which do not notice", false: "let paused containers go on"}[freeze]
	return &urfave.Command{
		Name: name, Usage: usage, ArgsUsage: "CONTAINER...",
		Action: func(ctx *urfave.Context) error {
			return each(ctx, func(c *lifecycle.Container) error { return c.Pause(freeze) })
		},
	}
}

var renameCommand = &urfave.Command{
	Name:      "rename",
	Usage:     "give a container another name",
	ArgsUsage: "CONTAINER NAME",
	Action: func(ctx *urfave.Context) error {
		c, err := one(ctx, 2, 2)
		if err != nil {
			return err
		}
		name := ctx.Args().Get(1)
		if err := containers.CheckName(name); err != nil {
			return fmt.Errorf("invalid name %q: %w", name, err)
		}
		s, err := openStore(ctx)
		if err != nil {
			return err
		}
		if err := containers.Rename(s, c.Container, name); err != nil {
			return err
		}
		return connection.Rename(s.Root, c.ID, name)
	},
}
