package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"

	"example.com/go-docker/day5-networks/image"
	"example.com/go-docker/day5-networks/store"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	urfave "github.com/urfave/cli/v2"
)

// imageCommands are the commands about images.
func imageCommands() []*urfave.Command {
	return []*urfave.Command{
		pullCommand, loadCommand, saveCommand, importCommand, commitCommand,
		imagesCommand, historyCommand, inspectCommand, tagCommand, rmiCommand,
	}
}

func openStore(ctx *urfave.Context) (*store.Store, error) { return store.Open(ctx.String("root")) }

// requireRoot is for commands that make or mount what only root can.
func requireRoot() error {
	if os.Geteuid() != 0 {
		return errors.New("layers have owners and devices that only root can make, and only root may mount: run as root")
	}
	return nil
}

func platformFlag(usage string) urfave.Flag {
	return &urfave.StringFlag{Name: "platform", Usage: "`OS/ARCH[/VARIANT]` " + usage + " (default: this machine's)"}
}

// platformFrom returns a zero platform when none was asked for.
func platformFrom(ctx *urfave.Context) (v1.Platform, error) {
	if !ctx.IsSet("platform") {
		return v1.Platform{}, nil
	}
	p, err := image.ParsePlatform(ctx.String("platform"))
	if err != nil {
		return p, fmt.Errorf("invalid --platform %q: %w", ctx.String("platform"), err)
	}
	return p, nil
}

// withStore makes an action of what a command does to the store until the user
// interrupts. The command wants min to max arguments (-1: any number), what they
// are says the message about others.
func withStore(min, max int, what string, do func(until context.Context, ctx *urfave.Context, s *store.Store) error) urfave.ActionFunc {
	return func(ctx *urfave.Context) error {
		if n := ctx.NArg(); n < min || max >= 0 && n > max {
			return fmt.Errorf("%s requires %s: see %[1]s --help", ctx.Command.Name, what)
		}
		s, err := openStore(ctx)
		if err != nil {
			return err
		}
		return interruptible(func(until context.Context) error { return do(until, ctx, s) })
	}
}

// eachArgument does the same to all arguments, until the user interrupts: what
// has begun is done to the end. It prints what was done, and goes on after an
// error.
func eachArgument(ctx *urfave.Context, do func(arg string) (done []string, err error)) error {
	if !ctx.Args().Present() {
		return fmt.Errorf("%s requires %s: see %[1]s --help", ctx.Command.Name, strings.TrimSuffix(ctx.Command.ArgsUsage, "..."))
	}
	return interruptible(func(until context.Context) (failed error) {
		for _, arg := range ctx.Args().Slice() {
			if until.Err() != nil {
				return context.Cause(until)
			}
			done, err := do(arg)
			for _, line := range done {
				fmt.Println(line)
			}
			failed = errors.Join(failed, err)
		}
		return failed
	})
}

// A table has Docker's columns.
type table struct{ *tabwriter.Writer }

func newTable(titles ...string) table {
	t := table{tabwriter.NewWriter(os.Stdout, 0, 0, 3, ' ', 0)}
	t.row(titles...)
	return t
}

func (t table) row(fields ...string) { fmt.Fprintln(t, strings.Join(fields, "\t")) }
