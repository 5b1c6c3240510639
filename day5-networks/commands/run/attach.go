package run

import (
	"errors"
	"fmt"
	"os"

	"github.com/sirupsen/logrus"
	urfave "github.com/urfave/cli/v2"

	"example.com/go-docker/day5-networks/commands/named"
	"example.com/go-docker/day5-networks/console"
	"example.com/go-docker/day5-networks/container"
	"example.com/go-docker/day5-networks/lifecycle"
	"example.com/go-docker/day5-networks/state"
	"example.com/go-docker/day5-networks/wire"
)

// Attach is the command attach.
var Attach = &urfave.Command{
	Name:      "attach",
	Usage:     "connect to the standard streams of a running container",
	ArgsUsage: "CONTAINER",
	Flags:     []urfave.Flag{detachKeysFlag()},
	Action: func(ctx *urfave.Context) error {
		keys, err := console.ParseKeys(ctx.String("detach-keys"))
		if err != nil {
			return err
		}
		c, err := named.One(ctx, 1, 1)
		if err != nil {
			return err
		}
		return attach(c, keys, true, container.CatchSignals())
	},
}

func attach(c *lifecycle.Container, keys []byte, stdin bool, signals *container.Signals) error {
	if c.State.Status == state.Paused {
		return fmt.Errorf("container %s is paused: unpause it first", c.ID)
	}
	seat, err := consoleFor(c, keys, stdin, signals)
	if err != nil {
		return err
	}
	conn, err := c.Attach(seat.Stdin != nil)
	if err != nil {
		return err
	}
	return follow(seat, conn, c.ID)
}

// consoleFor returns the console that we can offer a container.
func consoleFor(c *lifecycle.Container, keys []byte, stdin bool, signals *container.Signals) (console.Console, error) {
	config, err := state.ReadConfig(c.Dir)
	if err != nil {
		return console.Console{}, err
	}
	seat := console.Console{TTY: config.Container.TTY, Detach: keys, Signals: signals, Deaf: c.Deaf, Kill: c.Pass}
	if stdin && config.OpenStdin {
		seat.Stdin = os.Stdin
	}
	return seat, nil
}

// follow stays attached to a container until it ends or the user detaches.
func follow(seat console.Console, conn *wire.Conn, id string) error {
	status, err := seat.Follow(conn)
	switch {
	case errors.Is(err, console.ErrDetached):
		fmt.Fprintln(os.Stderr)
		logrus.Infof("detached from %s, which goes on", id)
		return nil
	case err != nil:
		return container.StatusError{Status: max(status, 1), Err: err}
	case status != 0:
		return container.StatusError{Status: status}
	}
	return nil
}

func detachKeysFlag() urfave.Flag {
	return &urfave.StringFlag{Name: "detach-keys", Value: "ctrl-p,ctrl-q", Usage: "`KEYS` to detach with"}
}
