package action

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"

	"example.com/go-docker/day3-images/container"
)

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
	err := do(ctx)
	var stopped container.StatusError
	if err != nil && errors.As(context.Cause(ctx), &stopped) {
		return stopped
	}
	return err
}
