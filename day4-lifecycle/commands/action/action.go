// Package action is what commands do around their own work: they open the store,
// say which arguments they want and refuse others, and end when the user does not
// want to wait any more.
//
// The ladder has no rung for it: its programs have no commands.
package action

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	urfave "github.com/urfave/cli/v2"

	"example.com/go-docker/day4-lifecycle/store"
)

// OpenStore opens the store that --root names.
func OpenStore(ctx *urfave.Context) (*store.Store, error) { return store.Open(ctx.String("root")) }

// RequireRoot is for commands that make or mount what only root can.
func RequireRoot() error {
	if os.Geteuid() != 0 {
		return errors.New("layers have owners and devices that only root can make, and only root may mount: run as root")
	}
	return nil
}

// WithStore makes an action of what a command does to the store until the user
// interrupts. The command wants min to max arguments (-1: any number), what they
// are says the message about others.
func WithStore(min, max int, what string, do func(until context.Context, ctx *urfave.Context, s *store.Store) error) urfave.ActionFunc {
	return func(ctx *urfave.Context) error {
		if n := ctx.NArg(); n < min || max >= 0 && n > max {
			return fmt.Errorf("%s requires %s: see %[1]s --help", ctx.Command.Name, what)
		}
		s, err := OpenStore(ctx)
		if err != nil {
			return err
		}
		return Interruptible(func(until context.Context) error { return do(until, ctx, s) })
	}
}

// EachArgument does the same to all arguments, until the user interrupts: what
// has begun is done to the end. It prints what was done, and goes on after an
// error.
func EachArgument(ctx *urfave.Context, do func(arg string) (done []string, err error)) error {
	if !ctx.Args().Present() {
		return fmt.Errorf("%s requires %s: see %[1]s --help", ctx.Command.Name, strings.TrimSuffix(ctx.Command.ArgsUsage, "..."))
	}
	return Interruptible(func(until context.Context) (failed error) {
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
