package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"example.com/go-docker/day4-lifecycle/image"
	v1 "github.com/google/go-containerregistry/pkg/v1"
)

type contextKey string

// isBlob marks a request whose answer may be long.
const isBlob contextKey = "blob"

// blob returns a reader of a blob's content. It is one stream whatever happens
// to the connection: if that breaks off, a new one goes on where it stopped.
// The content is verified at its end.
func (r *registry) blob(ctx context.Context, blob v1.Descriptor) io.ReadCloser {
	d := &download{registry: r, blob: blob}
	d.ctx, d.cancel = context.WithCancelCause(context.WithValue(ctx, isBlob, true))
	d.stalled = time.AfterFunc(stallTimeout, func() {
		d.cancel(fmt.Errorf("%s sent nothing for %v", r.host, stallTimeout))
	})
	d.stalled.Stop()
	return struct {
		io.Reader
		io.Closer
	}{image.Verify(d, "what "+r.host+" sent for", blob.Digest, blob.Size), d}
}

type download struct {
	registry *registry
	blob     v1.Descriptor
	ctx      context.Context
	cancel   context.CancelCauseFunc
	stalled  *time.Timer

	body  io.ReadCloser // nil between two connections
	read  int64
	skip  int64         // what this connection sends once more
	pause time.Duration // before the next connection, if this one is of no use
}

func (d *download) Read(p []byte) (int, error) {
	for {
		n, err := d.tryRead(p)
		switch {
		case n > 0:
			d.read += int64(n)
			d.pause = 0
			return n, nil // an error comes back with the next read
		case err == nil:
			continue
		case err == io.EOF && d.read >= d.blob.Size:
			return 0, io.EOF
		case err == io.EOF:
			err = io.ErrUnexpectedEOF
		}
		d.disconnect()
		if d.ctx.Err() != nil {
			return 0, context.Cause(d.ctx)
		}
		if d.pause = max(2*d.pause, firstPause); d.pause > firstPause<<(tries-2) || !temporary(err) {
			return 0, fmt.Errorf("layer %s, at byte %d: %w", d.blob.Digest, d.read, err)
		}
		if err := sleep(d.ctx, d.pause); err != nil {
			return 0, err
		}
	}
}

func (d *download) tryRead(p []byte) (int, error) {
	d.stalled.Reset(stallTimeout)
	defer d.stalled.Stop()
	if d.body == nil {
		if err := d.connect(); err != nil {
			return 0, err
		}
	}
	n, err := d.body.Read(p)
	again := min(int64(n), d.skip)
	d.skip -= again
	return copy(p, p[again:n]), err
}

// connect asks for what is missing. A server that does not know ranges sends
// everything again.
func (d *download) connect() error {
	header := http.Header{}
	if d.read > 0 {
		header.Set("Range", fmt.Sprintf("bytes=%d-", d.read))
	}
	response, err := d.registry.get(d.ctx, "blobs/"+d.blob.Digest.String(), header)
	if err != nil {
		return err
	}
	d.body, d.skip = response.Body, 0
	if response.StatusCode == http.StatusOK {
		d.skip = d.read
		return nil
	}
	var first int64
	if _, err := fmt.Sscanf(response.Header.Get("Content-Range"), "bytes %d-", &first); err != nil || first != d.read {
		return fmt.Errorf("asked for the bytes from %d, got %q", d.read, response.Header.Get("Content-Range"))
	}
	return nil
}

func (d *download) disconnect() {
	if d.body != nil {
		d.body.Close()
		d.body = nil
	}
}

func (d *download) Close() error {
	d.cancel(errors.New("closed"))
	d.disconnect()
	return nil
}
