// Package run has the commands that run containers and attach to them: run,
// create, start, exec and attach.
//
// It grew from rungs 04-detached and 06-exec, and adds everything that the user
// may ask for, a terminal, and cleanup on every path.
package run

import (
	"errors"
	"fmt"
	"os"
	"slices"

	urfave "github.com/urfave/cli/v2"

	"example.com/go-docker/day5-networks/console"
	"example.com/go-docker/day5-networks/container"
	"example.com/go-docker/day5-networks/lifecycle"
	"example.com/go-docker/day5-networks/state"
)

// Run is the command run.
func Run() *urfave.Command {
	return &urfave.Command{
		Name:      "run",
		Usage:     "run a command in a new container of an image",
		ArgsUsage: "IMAGE [COMMAND] [ARG...]",
		Flags: slices.Concat([]urfave.Flag{
			&urfave.BoolFlag{Name: "detach", Aliases: []string{"d"}, Usage: "print the container's id once its command runs, and exit", DisableDefaultText: true},
			detachKeysFlag(),
		}, createFlags()),
		Action: runImage,
	}
}

// runImage is run: create, start and, without -d, attach.
func runImage(ctx *urfave.Context) error {
	detach := ctx.Bool("detach")
	keys, err := console.ParseKeys(ctx.String("detach-keys"))
	if err != nil {
		return err
	}
	p, s, err := planFromFlags(ctx)
	if err != nil {
		return err
	}
	signals := container.CatchSignals() // from here on there is something to clean up
	p.config.StdinOnce = p.config.OpenStdin && !detach
	if err := p.create(s); err != nil {
		return err
	}
	conn, err := lifecycle.Launch(p.dir, p.config.AutoRemove, p.dir.HandOver(), !detach, signals)
	if err != nil { // a container that never ran has nothing to commit
		c := lifecycle.Container{Container: p.dir, State: &state.State{Status: state.Created}}
		return errors.Join(err, c.Remove(true))
	}
	if detach {
		fmt.Println(p.dir.ID)
		return nil
	}
	c := lifecycle.Container{Container: p.dir}
	seat := console.Console{TTY: p.container.TTY, Detach: keys, Signals: signals, Own: true, Kill: c.Pass}
	if p.config.OpenStdin {
		seat.Stdin = os.Stdin
	}
	return follow(seat, conn, p.dir.ID)
}
