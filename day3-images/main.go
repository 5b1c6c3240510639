// Day 3, images: from a limited process to docker run IMAGE.
//
//	day3-images                              an image of three layers, run and looked into
//	day3-images run [OPTIONS] IMAGE [COMMAND] [ARG...]
//	day3-images pull|load|save|import|images|history|inspect|tag|rmi|commit|rm ...
//
// For example:
//
//	# go run ./day3-images
//	# go run ./day3-images import busybox.tar busybox
//	# go run ./day3-images run -ti -m 100m -v /srv:/data busybox sh
//
// New today: a store of images in the OCI layout, layers unpacked once and
// shared, overlayfs, a root of the container's own, and pivot_root(2). This
// file only lists the commands, which are rooms, too.
//
// Exit status: the command's own; 128+n if signal n killed it; 127 if it was
// not found; 126 if it could not be executed; 125 for any other error.
package main

import (
	"cmp"
	"context"
	"fmt"
	"os"

	urfave "github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"

	"example.com/go-docker/day3-images/cli"
	"example.com/go-docker/day3-images/commands/action"
	"example.com/go-docker/day3-images/commands/images"
	"example.com/go-docker/day3-images/commands/inspect"
	"example.com/go-docker/day3-images/commands/run"
	"example.com/go-docker/day3-images/commands/stats"
	"example.com/go-docker/day3-images/demo"
)

func main() { os.Exit(cli.Run(newApp(), os.Args)) }

func newApp() *urfave.App {
	return &urfave.App{
		Name:  "day3-images",
		Usage: "from a limited process to docker run IMAGE",
		Flags: []urfave.Flag{
			&urfave.StringFlag{Name: "format", Value: "text", Usage: "`text` or json"},
			&urfave.StringFlag{Name: "root", Value: "/var/lib/go-docker", EnvVars: []string{"GO_DOCKER_ROOT"}, Usage: "`DIRECTORY` of the store"},
		},
		Before: begin,
		Action: runDemo,
		Commands: []*urfave.Command{
			run.Run(), run.Remove, stats.Command, payloadCommand,
			images.Pull, images.Load, images.Save, images.Import, images.Commit,
			images.List, images.History, inspect.Command, images.Tag, images.Remove,
		},
	}
}

// runDemo runs if there is no command.
func runDemo(ctx *urfave.Context) error {
	if err := action.RequireRoot(); err != nil {
		return err
	}
	return action.Interruptible(func(until context.Context) error { return demo.Run(until, ctx.String("format")) })
}

var payloadCommand = &urfave.Command{
	Name:   "payload",
	Hidden: true,
	Action: func(*urfave.Context) error { return demo.Payload() },
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
