// Package action does what all commands need around their own work: it opens
// the store, checks the number of arguments, and ends the command when the user
// interrupts it.
//
// The ladder has no rung for it, because its programs have no commands.
package action

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	urfave "github.com/urfave/cli/v2"

	"example.com/go-docker/day5-networks/container"
	"example.com/go-docker/day5-networks/store"
)

// OpenStore opens the store that --root names.
func OpenStore(ctx *urfave.Context) (*store.Store, error) {
	if err := RequireRoot(); err != nil {
		return nil, err
	}
	return store.Open(ctx.String("root"))
}

// RequireRoot refuses all other users, before anything is made.
func RequireRoot() error {
	if os.Geteuid() != 0 {
		return errors.New("layers have owners and devices that only root can make, and only root may mount: run as root")
	}
	return nil
}

// WithStore turns do, which works on the store until the user interrupts it,
// into a command's action. The command takes min to max arguments (-1: any
// number); what describes them in the error message.
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

// EachArgument is WithStore for a command that does the same with each of its
// arguments, and never stops in the middle of one. It prints what was done, and
// goes on after an error.
func EachArgument(what string, do func(ctx *urfave.Context, s *store.Store, arg string) (done []string, err error)) urfave.ActionFunc {
	return WithStore(1, -1, what, func(until context.Context, ctx *urfave.Context, s *store.Store) (failed error) {
		for _, arg := range ctx.Args().Slice() {
			if until.Err() != nil {
				return context.Cause(until)
			}
			done, err := do(ctx, s, arg)
			for _, line := range done {
				fmt.Println(line)
			}
			failed = errors.Join(failed, err)
		}
		return failed
	})
}

// Interruptible runs something that the user may want to stop. ^C or SIGTERM
// ends its context, so that it can remove anything half-made; the exit status
// is the shell's for that signal.
func Interruptible(do func(context.Context) error) error {
	caught := make(chan os.Signal, 1)
	for _, sig := range []os.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		if !signal.Ignored(sig) { // as nohup(1) wants
			signal.Notify(caught, sig)
		}
	}
	defer signal.Stop(caught)
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	go func() {
		select {
		case sig := <-caught:
			signal.Stop(caught) // a second signal kills us; the next command cleans up
			cancel(container.StatusError{Status: 128 + int(sig.(syscall.Signal))})
		case <-ctx.Done():
		}
	}()
	if err := do(ctx); err == nil || ctx.Err() == nil {
		return err
	}
	return context.Cause(ctx)
}
