package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// interruptible runs what a user may want to stop. After ^C or SIGTERM its
// context ends, so that it can remove what is half-made; the exit status is
// the shell's for that signal.
func interruptible(do func(context.Context) error) error {
	caught := make(chan os.Signal, 1)
	for _, sig := range []os.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		if !signal.Ignored(sig) { // as nohup(1) asks
			signal.Notify(caught, sig)
		}
	}
	defer signal.Stop(caught)
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	go func() {
		select {
		case sig := <-caught:
			signal.Stop(caught) // the second one kills; the next command cleans up
			cancel(statusError{status: 128 + int(sig.(syscall.Signal))})
		case <-ctx.Done():
		}
	}()
	err := do(ctx)
	var stopped statusError
	if err != nil && errors.As(context.Cause(ctx), &stopped) {
		return stopped
	}
	return err
}

// readUntil is r as long as nobody interrupts us.
func readUntil(ctx context.Context, r io.Reader) io.Reader { return untilReader{ctx, r} }

type untilReader struct {
	ctx context.Context
	r   io.Reader
}

func (u untilReader) Read(p []byte) (int, error) {
	if u.ctx.Err() != nil {
		return 0, context.Cause(u.ctx)
	}
	return u.r.Read(p)
}

// waitUntil is readUntil for what may keep us waiting, as standard input does. Its
// goroutine is left in read(2), until the program ends.
func waitUntil(ctx context.Context, r io.Reader) io.Reader {
	out, in := io.Pipe()
	context.AfterFunc(ctx, func() { in.CloseWithError(context.Cause(ctx)) })
	go func() {
		_, err := io.Copy(in, r)
		in.CloseWithError(err) // nil is the end of the file
	}()
	return out
}

// writeUntil is w as long as nobody interrupts us.
func writeUntil(ctx context.Context, w io.Writer) io.Writer { return untilWriter{ctx, w} }

type untilWriter struct {
	ctx context.Context
	w   io.Writer
}

func (u untilWriter) Write(p []byte) (int, error) {
	if u.ctx.Err() != nil {
		return 0, context.Cause(u.ctx)
	}
	return u.w.Write(p)
}
