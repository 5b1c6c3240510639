package chain

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"example.com/go-docker/day3-images/internal/testkit"
	"example.com/go-docker/day3-images/layer"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// unpackAll unpacks an image's layers, lowest first, like a store, and returns
// the directories to stack.
func unpackAll(base string, tars [][]byte) ([]string, error) {
	var dirs []string
	for i, content := range tars {
		dir := filepath.Join(base, fmt.Sprintf("layer %d", i))
		for j, same := range tars[:i] {
			if bytes.Equal(content, same) {
				dir = filepath.Join(base, fmt.Sprintf("layer %d", j))
			}
		}
		if err := os.Mkdir(dir, 0o700); err == nil {
			q := layer.Quota{Bytes: 1 << 30, Entries: 1 << 20}
			if err := layer.Unpack(bytes.NewReader(content), dir, &q); err != nil {
				return nil, fmt.Errorf("layer %d: %w", i, err)
			}
		}
		loose, err := IsLoose(dir, len(dirs) == 0)
		if err != nil {
			return nil, err
		}
		if loose {
			settled := filepath.Join(base, fmt.Sprintf("settled %d", i))
			if err := os.Mkdir(settled, 0o700); err != nil {
				return nil, err
			}
			if err := Settle(dir, settled, dirs); err != nil {
				return nil, fmt.Errorf("layer %d: %w", i, err)
			}
			dir = settled
		}
		dirs = append(dirs, dir)
	}
	return VisibleLayers(dirs)
}
