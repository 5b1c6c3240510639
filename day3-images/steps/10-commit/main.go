// Step 10. New: what a box has changed becomes one more layer, and the image with it a new image.
// Run: go run ./day3-images/steps/10-commit /tmp/oci /tmp/box mine; skopeo inspect oci:/tmp/oci:mine
// Still wrong: it takes the newest image for the one of the box, and a file with two names becomes two files.
package main

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

type object = map[string]any // not a struct, which would lose all that we know nothing of

func main() {
	if len(os.Args) != 4 {
		check(fmt.Errorf("usage: %s LAYOUT BOX NAME", os.Args[0]))
	}
	layout, upper, name := os.Args[1], filepath.Join(os.Args[2], "upper"), os.Args[3]
	var index, manifest, config object
	text, err := os.ReadFile(filepath.Join(layout, "index.json")) // it has no digest: we have to trust it
	check(err)
	check(json.Unmarshal(text, &index))
	manifests := list(index, "manifests")
	if len(manifests) == 0 {
		check(fmt.Errorf("no image in %s", layout))
	}
	check(json.Unmarshal(read(layout, manifests[len(manifests)-1]), &manifest)) // the newest
	check(json.Unmarshal(read(layout, manifest["config"]), &config))
	// From the layer up to the index: each contains the digest of the one before it.
	layer := write(layout, "layer.v1.tar", pack(upper)) // not compressed: its digest is its diff ID, too
	rootfs, _ := config["rootfs"].(object)
	config["rootfs"] = object{"type": "layers", "diff_ids": append(list(rootfs, "diff_ids"), layer["digest"])}
	config["history"] = append(list(config, "history"), object{"created_by": "10-commit " + name})
	manifest["config"] = write(layout, "config.v1+json", marshal(config))
	manifest["layers"] = append(list(manifest, "layers"), layer)
	image := write(layout, "manifest.v1+json", marshal(manifest))
	image["annotations"] = object{"org.opencontainers.image.ref.name": name}
	index["manifests"] = append(manifests, image)
	check(os.WriteFile(filepath.Join(layout, "index.json"), marshal(index), 0o644))
	fmt.Println(image["digest"])
}

// pack is the way back: from what overlayfs has left in upper to a layer.
func pack(upper string) []byte {
	var layer bytes.Buffer
	archive := tar.NewWriter(&layer)
	check(filepath.WalkDir(upper, func(path string, entry fs.DirEntry, err error) error {
		check(err)
		info, err := entry.Info()
		check(err)
		link, _ := os.Readlink(path) // empty unless it is a symbolic link
		h, err := tar.FileInfoHeader(info, link)
		check(err)
		h.Name = "." + strings.TrimPrefix(path, upper)
		h.Uname, h.Gname = "", "" // what this machine calls them; in the box only numbers count
		if info.Mode()&fs.ModeCharDevice != 0 && info.Sys().(*syscall.Stat_t).Rdev == 0 {
			h = &tar.Header{Name: filepath.Join(filepath.Dir(h.Name), ".wh."+entry.Name())}
		}
		check(archive.WriteHeader(h))
		if info.Mode().IsRegular() {
			content, err := os.ReadFile(path)
			check(err)
			_, err = archive.Write(content)
			check(err)
		}
		if size, _ := syscall.Getxattr(path, "trusted.overlay.opaque", nil); info.IsDir() && size == 1 {
			check(archive.WriteHeader(&tar.Header{Name: filepath.Join(h.Name, ".wh..wh..opq")}))
		}
		return nil
	}))
	check(archive.Close())
	return layer.Bytes()
}

func list(o object, key string) []any {
	values, _ := o[key].([]any) // what is missing is an empty list
	return values
}

func read(layout string, descriptor any) []byte {
	o, _ := descriptor.(object)
	want, _ := o["digest"].(string)
	content, err := os.ReadFile(filepath.Join(layout, "blobs", strings.Replace(want, ":", "/", 1)))
	check(err)
	if found := digest(content); found != want {
		check(fmt.Errorf("damaged: what should be %s is %s", want, found))
	}
	return content
}

func write(layout, kind string, content []byte) object {
	path := filepath.Join(layout, "blobs", strings.Replace(digest(content), ":", "/", 1))
	check(os.WriteFile(path, content, 0o644))
	return object{"mediaType": "application/vnd.oci.image." + kind, "digest": digest(content), "size": len(content)}
}

func digest(content []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(content)) }

func marshal(o object) []byte {
	text, err := json.Marshal(o)
	check(err)
	return text
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}
