// Day 5, networks: a bridge, addresses, NAT, published ports, names.
//
//	day5-networks                              a small world, and every path in it
//	day5-networks run [--network NETWORK] [-p HOST:PORT] [OPTIONS] IMAGE [COMMAND] [ARG...]
//	day5-networks network create|ls|rm|inspect|connect|disconnect|prune ...
//	day5-networks port CONTAINER [PORT]
//	day5-networks ps|logs|exec|stop|start|restart|kill|wait|rm|attach|... CONTAINER
//	day5-networks pull|load|save|import|images|history|inspect|tag|rmi|commit ...
//
// For example:
//
//	# go run ./day5-networks import busybox.tar busybox
//	# go run ./day5-networks run -d --name web -p 8080:80 -v /srv:/srv busybox httpd -f -h /srv
//	# go run ./day5-networks run --rm busybox wget -qO- http://web/
//	# curl http://127.0.0.1:8080/
//
// New today, one room each: address, link, firewall and machine, for what is in
// the kernel; netstate, for what is on disk; network, which combines them;
// ports; names and etc, for who is who; connection, the shim's side; background
// and resolver, the process that answers queries for names. This file only
// lists the commands, which are rooms, too.
//
// Exit status: the command's own; 128+n if signal n killed it; 127 if it was
// not found; 126 if it could not be executed; 125 for any other error of run or
// create, and for wrong flags; 1 for errors of other commands.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	urfave "github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"

	"example.com/go-docker/day5-networks/cli"
	"example.com/go-docker/day5-networks/commands/action"
	"example.com/go-docker/day5-networks/commands/control"
	"example.com/go-docker/day5-networks/commands/files"
	"example.com/go-docker/day5-networks/commands/images"
	"example.com/go-docker/day5-networks/commands/inspect"
	"example.com/go-docker/day5-networks/commands/networks"
	"example.com/go-docker/day5-networks/commands/run"
	"example.com/go-docker/day5-networks/commands/show"
	"example.com/go-docker/day5-networks/commands/stats"
	"example.com/go-docker/day5-networks/container"
	"example.com/go-docker/day5-networks/demo"
	_ "example.com/go-docker/day5-networks/resolver" // its process starts before main
)

func main() { os.Exit(cli.Run(newApp(), os.Args)) }

func newApp() *urfave.App {
	app := &urfave.App{
		Name:  "day5-networks",
		Usage: "containers on networks",
		Flags: []urfave.Flag{
			&urfave.StringFlag{Name: "format", Value: "text", Usage: "`text` or json"},
			&urfave.StringFlag{Name: "root", Value: "/var/lib/go-docker", EnvVars: []string{"GO_DOCKER_ROOT"}, Usage: "`DIRECTORY` of the store"},
		},
		Before:   begin,
		Action:   runDemo,
		Commands: commands(),
	}
	failWithOne(app.Commands, "run", "create")
	return app
}

func commands() []*urfave.Command {
	return []*urfave.Command{
		run.Run(), run.Create(), run.Start, control.Stop, control.Restart, control.Kill,
		control.Wait, control.Remove, show.Ps, show.Logs, run.Exec, run.Attach,
		control.Pause("pause", true), control.Pause("unpause", false), show.Top, control.Rename, files.Copy, files.Export, show.Port,
		{Name: "container", Usage: "manage containers", Subcommands: []*urfave.Command{control.Prune}},
		images.Pull, images.Load, images.Save, images.Import, images.Commit,
		images.List, images.History, inspect.Command, images.Tag, images.Remove,
		networks.Command, stats.Command, payloadCommand, worldCommand,
	}
}

// failWithOne gives errors of all commands except these the exit status 1, as
// in Docker, unless they have a status of their own.
func failWithOne(commands []*urfave.Command, except ...string) {
	for _, c := range commands {
		failWithOne(c.Subcommands)
		if do := c.Action; do != nil && !slices.Contains(except, c.Name) {
			c.Action = func(ctx *urfave.Context) error {
				err := do(ctx)
				var own container.StatusError
				if err == nil || errors.As(err, &own) {
					return err
				}
				return container.StatusError{Status: 1, Err: err}
			}
		}
	}
}

// runDemo runs if there is no command.
func runDemo(ctx *urfave.Context) error {
	if err := action.RequireRoot(); err != nil {
		return err
	}
	return demo.Run(ctx.String("format"), worldCommand.Name)
}

// worldCommand is the process in which the demo runs.
var worldCommand = &urfave.Command{
	Name:   "world",
	Hidden: true,
	Action: func(ctx *urfave.Context) error {
		return action.Interruptible(func(until context.Context) error { return demo.Show(until, ctx.String("format")) })
	},
}

var payloadCommand = &urfave.Command{
	Name:   "payload",
	Hidden: true,
	Action: func(ctx *urfave.Context) error { return demo.Payload(ctx.Context, ctx.Args().Slice()) },
}

// begin runs before every command.
func begin(ctx *urfave.Context) error {
	// Go's runtime reserves much more address space than it uses, and crashes
	// with a dump of its stacks when it gets no more. Below 750 MiB it does not
	// even get this far.
	const enough = 1 << 30
	var space unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_AS, &space); err != nil || space.Cur < enough {
		return cmp.Or(err, fmt.Errorf("the address space is limited to %d KiB, and a Go program needs %d: ulimit -v unlimited", space.Cur>>10, enough>>10))
	}
	if format := ctx.String("format"); format != "text" && format != "json" {
		return fmt.Errorf("invalid --format %q: want text or json", format)
	}
	return nil
}
