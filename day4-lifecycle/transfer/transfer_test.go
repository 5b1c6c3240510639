package transfer

import (
	"context"
	"errors"
	"os"
	"testing"
)

// Who has pressed ^C need not wait for the end of a copy.
func TestCopyInterrupted(t *testing.T) {
	root, err := os.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	if err := os.WriteFile(root.Name()+"/file", []byte("content"), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancelCause(context.Background())
	defer stop(nil)
	for _, stopped := range []error{nil, errors.New("^C")} {
		if stopped != nil {
			stop(stopped)
		}
		if err := Copy(ctx, Place{root, "file"}, Place{root, "copy"}, Options{}); !errors.Is(err, stopped) {
			t.Errorf("%v, want %v", err, stopped)
		}
	}
}
