package main

import (
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"

	"example.com/go-docker/day3-images/image"
)

// A repository's name may have one letter, wherever it comes from.
func TestShortNames(t *testing.T) {
	needRoot(t)
	s, hub := emptyStore(t), newRegistry(t)
	hub.push(t, "1", smallImage(t))
	to, err := url.Parse(hub.URL)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(to)
		r.Out.URL.Path = strings.Replace(r.In.URL.Path, "/v2/x/", "/v2/some/app/", 1)
	}})
	defer proxy.Close()
	name := strings.TrimPrefix(proxy.URL, "http://") + "/x:1"
	ok(t, s, "pull", name)
	ok(t, s, "tag", name, "y")
	tar := t.TempDir() + "/y.tar"
	ok(t, s, "save", "-o", tar, "y", name)
	ok(t, s, "rmi", "y", name)
	if got := ok(t, s, "load", "-i", tar); !strings.Contains(got, "Loaded image: y:latest\n") || !strings.Contains(got, "Loaded image: "+name+"\n") {
		t.Errorf("load printed %q", got)
	}
	sound(t, s)
}

// What looks like an ID is an ID, never a name.
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
