package archive

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"

	"example.com/go-docker/day4-lifecycle/commit"
	"example.com/go-docker/day4-lifecycle/interrupt"
	"example.com/go-docker/day4-lifecycle/layer"
	"github.com/moby/term"
)

// copyRootFS writes the tar that source is, or that it makes if it is a
// directory.
func CopyRoot(ctx context.Context, w io.Writer, source string) error {
	if strings.HasPrefix(source, "http://") || strings.HasPrefix(source, "https://") {
		return errors.New("fetch it first: a URL alone does not say what must come from there")
	}
	if info, err := os.Stat(source); err == nil && info.IsDir() {
		return commit.PackTree(w, source)
	}
	file, err := OpenInput(source)
	if err != nil {
		return err
	}
	defer file.Close()
	tar, err := layer.Decompress(interrupt.Waiting(ctx, file))
	if err != nil {
		return err
	}
	defer tar.Close()
	n, err := io.Copy(w, tar)
	if err == nil && n == 0 {
		err = errors.New("it is empty")
	}
	return err
}

// OpenInput opens a file, or standard input for "-".
func OpenInput(name string) (*os.File, error) {
	if name != "-" {
		return os.Open(name)
	}
	if term.IsTerminal(os.Stdin.Fd()) {
		return nil, errors.New("standard input is a terminal: name a file, or pipe one in")
	}
	return os.Stdin, nil
}
