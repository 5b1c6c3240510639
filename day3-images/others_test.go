package main

import (
	"strings"
	"testing"

	"example.com/go-docker/day3-images/image"
)

// What looks like an ID is one, and never a name.
func TestIDs(t *testing.T) {
	s := boxes(t, nil)
	img, err := s.Resolve("busybox")
	if err != nil {
		t.Fatal(err)
	}
	for _, ref := range []string{img.ID, img.ID[:20], image.ShortID(img.ID)} {
		finish(t, s.run(t, "--rm", ref, "echo", "found")).want(t, "found\n")
	}
	absent := "sha256:" + strings.Repeat("0123", 16)
	if got := finish(t, s.run(t, absent, "true")); got.status != 125 || got.stderr != "error: no such image: "+absent+"\n" {
		t.Errorf("%+v", got)
	}
	refused(t, s, "called nothing", "tag", "busybox", "")
	refused(t, s, "it would be taken for an image ID", "tag", "busybox", absent)
	refused(t, s, "it would be taken for an image ID", "tag", "busybox", "sha256:1")
	refused(t, s, `invalid --format "xml"`, "--format", "xml", "images")
}
