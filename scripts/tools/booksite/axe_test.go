package booksite

import (
	"archive/tar"
	"compress/gzip"
	"crypto/sha512"
	"encoding/base64"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
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
	source, err := unpackAxe(archive)
	for _, pause := range []time.Duration{0, 5, 15, 30} { // the registry may refuse for a moment, or stop in the middle
		if err == nil {
			break
		}
		time.Sleep(pause * time.Second)
		if err = fetchAxe(t, archive); err == nil {
			source, err = unpackAxe(archive)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return source
}

func fetchAxe(t *testing.T, archive string) error {
	t.Helper()
	npm, err := exec.LookPath("npm")
	if err != nil {
		missing(t, "npm, or axe-core in "+archive)
	}
	if err := os.MkdirAll(filepath.Dir(archive), 0o755); err != nil {
		return err
	}
	pack := exec.Command(npm, "pack", "--silent", "--pack-destination", filepath.Dir(archive), "axe-core@"+axeVersion)
	if out, err := pack.CombinedOutput(); err != nil {
		return fmt.Errorf("fetch axe-core: %w\n%s", err, out)
	}
	return nil
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
		return "", fmt.Errorf("SHA-512 of %s is %s, want %s", archive, got, axeSHA512)
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
