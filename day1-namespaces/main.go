// Day 1, namespaces: a process that sees a machine of its own.
//
//	day1-namespaces                             host and container side by side
//	day1-namespaces run [OPTIONS] COMMAND [ARG...]
//
// For example:
//
//	# go run ./day1-namespaces run -ti sh
//	# hostname; ps; ip link
//
// New today, one room each: namespace, the seven kinds that day 1 uses;
// container, a child that blocks on a pipe until its parent is ready, private
// mounts, and a PID 1 that reaps; terminal; demo. This file has only the
// commands.
//
// Exit status: the command's own; 128+n if signal n killed it; 127 if it was
// not found; 126 if it could not be executed; 125 for any other error.
package main

import (
	"os"

	urfave "github.com/urfave/cli/v2"

	"example.com/go-docker/day1-namespaces/cli"
	"example.com/go-docker/day1-namespaces/demo"
)

func main() { os.Exit(cli.Run(newApp(), os.Args)) }

func newApp() *urfave.App {
	return &urfave.App{
		Name:  "day1-namespaces",
		Usage: "a process that sees a machine of its own",
		Flags: []urfave.Flag{
			&urfave.StringFlag{Name: "format", Value: "table", Usage: "`table` or json"},
		},
		Action:   func(ctx *urfave.Context) error { return demo.Run(os.Stdout, ctx.String("format")) },
		Commands: []*urfave.Command{runCommand(), factsCommand()},
	}
}

// factsCommand is the command that the demo runs in its container.
func factsCommand() *urfave.Command {
	return &urfave.Command{
		Name:   "facts",
		Hidden: true,
		Usage:  "print what each namespace looks like from here, as JSON",
		Action: func(*urfave.Context) error { return demo.PrintFacts(os.Stdout) },
	}
}
