package compression

import (
	"testing"

	"example.com/go-docker/day3-images/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

type errorReader struct{ err error }

func (r errorReader) Read([]byte) (int, error) { return 0, r.err }
