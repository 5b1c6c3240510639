package booksite

import (
	"archive/tar"
	"compress/gzip"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// axe-core is only on npm. It is fetched once and kept in the user's cache.
const (
	axeVersion = "4.14.1"
	axeSHA512  = "FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ=="
)

// axeSource is the script that finds what keeps people from using a page.
func axeSource(t *testing.T) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	archive := filepath.Join(cache, "go-docker", "axe-core-"+axeVersion+".tgz")
	if _, err := os.Stat(archive); errors.Is(err, os.ErrNotExist) {
		npm, err := exec.LookPath("npm")
		if err != nil {
			missing(t, "npm, or axe-core in "+archive)
		}
		if err := os.MkdirAll(filepath.Dir(archive), 0o755); err != nil {
			t.Fatal(err)
		}
		pack := exec.Command(npm, "pack", "--silent", "--pack-destination", filepath.Dir(archive), "axe-core@"+axeVersion)
		if out, err := pack.CombinedOutput(); err != nil {
			t.Fatalf("fetch axe-core: %v\n%s", err, out)
		}
	}
	source, err := unpackAxe(archive)
	if err != nil {
		t.Fatalf("read %s: %v (remove it to fetch it again)", archive, err)
	}
	return source
}

func unpackAxe(archive string) (string, error) {
	file, err := os.Open(archive)
	if err != nil {
		return "", err
	}
	defer file.Close()
	sum := sha512.New()
	if _, err := io.Copy(sum, file); err != nil {
		return "", err
	}
	if got := base64.StdEncoding.EncodeToString(sum.Sum(nil)); got != axeSHA512 {
		return "", fmt.Errorf("SHA-512 is %s, want %s", got, axeSHA512)
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return "", err
	}
	zip, err := gzip.NewReader(file)
	if err != nil {
		return "", err
	}
	for files := tar.NewReader(zip); ; {
		header, err := files.Next()
		if err != nil {
			return "", err
		}
		if header.Name == "package/axe.min.js" {
			source, err := io.ReadAll(files)
			return string(source), err
		}
	}
}
