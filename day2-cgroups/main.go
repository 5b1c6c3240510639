// Day 2, cgroups: a limit on what the process may use.
//
//	day2-cgroups                             a hog meets a memory limit
//	day2-cgroups run [OPTIONS] COMMAND [ARG...]
//	day2-cgroups stats [CONTAINER...]
//
// For example:
//
//	# go run ./day2-cgroups
//	# go run ./day2-cgroups run -ti -m 100m --cpus 0.5 --pids-limit 20 sh
//
// New today, one room each: hierarchy finds the cgroups(7) of version 1,
// version 2 or both; cgroup makes the container's, starts the command inside it
// and cleans up on every path; usage reads its counters; lock tells which
// owners are still alive.
//
// Exit status: the command's own; 128+n if signal n killed it; 127 if it was
// not found; 126 if it could not be executed; 125 for any other error.
package main

import (
	"fmt"
	"os"

	urfave "github.com/urfave/cli/v2"

	"example.com/go-docker/day2-cgroups/cli"
	"example.com/go-docker/day2-cgroups/demo"
)

func main() { os.Exit(cli.Run(newApp(), os.Args)) }

func newApp() *urfave.App {
	return &urfave.App{
		Name:  "day2-cgroups",
		Usage: "a limit on what the process may use",
		Flags: append(memoryFlags(),
			&urfave.BoolFlag{Name: "stress", Usage: "stress(1), if installed, instead of the built-in hog"},
			&urfave.StringFlag{Name: "format", Value: "text", Usage: "`text` or json"},
		),
		Action:   showDemo,
		Commands: []*urfave.Command{runCommand(), statsCommand, hogCommand()},
	}
}

func showDemo(ctx *urfave.Context) error {
	limits, err := limitsFromFlags(ctx)
	if err != nil {
		return err
	}
	return demo.Run(demo.Options{Limits: limits, Stress: ctx.Bool("stress"), Format: ctx.String("format")})
}

// hogCommand is the command that the demo runs in its container.
func hogCommand() *urfave.Command {
	return &urfave.Command{
		Name:      "hog",
		Hidden:    true,
		Usage:     "allocate memory, touch every page, hold it",
		ArgsUsage: "SIZE",
		Flags: []urfave.Flag{
			&urfave.DurationFlag{Name: "pause", Usage: "pause after each 4 MiB"},
			&urfave.DurationFlag{Name: "hold", Usage: "hold the memory for this long"},
		},
		Action: func(ctx *urfave.Context) error {
			size, err := parseBytes(ctx.Args().First())
			if err != nil {
				return fmt.Errorf("invalid SIZE %q: %w", ctx.Args().First(), err)
			}
			return demo.Hog(int(size), ctx.Duration("pause"), ctx.Duration("hold"))
		},
	}
}
