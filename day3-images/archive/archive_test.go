package archive

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"example.com/go-docker/day3-images/image"
	"example.com/go-docker/day3-images/internal/testkit"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Whatever is in an archive, it is loaded or refused, and nothing is made
// outside.
func FuzzArchive(f *testing.F) {
	blob := fmt.Sprintf(`"digest":"%s","size":2`, image.SHA256([]byte("{}")))
	config := []byte("{}")
	f.Add([]byte(`{"schemaVersion":2,"manifests":[{"mediaType":"`+string(types.OCIManifestSchema1)+`",`+blob+`}]}`), config, "blobs/sha256/x")
	f.Add([]byte(`[{"Config":"blob","RepoTags":["a:1"],"Layers":["link"]}]`), config, "../../x")
	f.Add([]byte(`[{"Config":"blob","RepoTags":["a:1"],"Layers":["link"]}]`), config, "blob")
	f.Fuzz(func(t *testing.T, index, other []byte, name string) {
		entries := []testkit.Entry{testkit.File("index.json", string(index)), testkit.File("manifest.json", string(index)), testkit.File("blob", string(other))}
		if !strings.ContainsRune(name, 0) && name != "" {
			entries = append(entries, testkit.Symlink("link", name), testkit.HardLink("other", name))
		}
		for _, skip := range []int{0, 1} { // as an OCI archive, then as Docker's
			dir := t.TempDir()
			a, err := spoolArchive(bytes.NewReader(testkit.Tar(t, entries[skip:]...)), dir)
			if err != nil {
				continue
			}
			for name, file := range a.files {
				if _, err := os.Stat(filepath.Join(dir, file.Digest.Hex)); err != nil {
					t.Errorf("%q: %v", name, err)
				}
			}
			images, err := a.images(image.HostPlatform())
			if err != nil {
				continue
			}
			for _, img := range images {
				if _, err := image.ParseManifest(img.manifest); err != nil {
					t.Errorf("accepted %s: %v", img.manifest, err)
				}
			}
		}
	})
}
