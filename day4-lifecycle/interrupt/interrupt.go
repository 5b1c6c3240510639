// Package interrupt lets the user interrupt long copies: its readers and
// writers fail once their context has ended.
//
// The ladder has no rung for it, because its programs are simply killed.
package interrupt

import (
	"context"
	"io"
)

type writer func(p []byte) (int, error)

func (f writer) Write(p []byte) (int, error) { return f(p) }

// Writer is w until ctx ends; then writing fails with the cause.
func Writer(ctx context.Context, w io.Writer) io.Writer {
	return writer(func(p []byte) (int, error) {
		if ctx.Err() != nil {
			return 0, context.Cause(ctx)
		}
		return w.Write(p)
	})
}

// Waiting is r until ctx ends; then reading fails with the cause. r may block,
// as standard input does: the goroutine stays in read(2) until the program ends.
func Waiting(ctx context.Context, r io.Reader) io.Reader {
	out, in := io.Pipe()
	context.AfterFunc(ctx, func() { in.CloseWithError(context.Cause(ctx)) })
	go func() {
		_, err := io.Copy(in, r)
		in.CloseWithError(err) // nil means end of file
	}()
	return out
}
