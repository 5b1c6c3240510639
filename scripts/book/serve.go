package main

import (
	"fmt"
	"mime"
	"net"
	"net/http"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/urfave/cli/v2"
)

func currentSite() (map[string][]byte, error) {
	root, err := repositoryRoot()
	if err != nil {
		return nil, err
	}
	b, missing, err := readBook(filepath.Join(root, "docs"))
	if err != nil {
		return nil, err
	}
	for _, f := range missing {
		logrus.Warn(f)
	}
	return makeSite(b, root)
}

func siteAction(ctx *cli.Context) error {
	files, err := currentSite()
	if err != nil {
		return err
	}
	dir := ctx.String("output")
	if err := writeSite(files, dir); err != nil {
		return fmt.Errorf("write the site: %w", err)
	}
	fmt.Println(filepath.Join(dir, "index.html"))
	return nil
}

func serveAction(ctx *cli.Context) error {
	listener, err := net.Listen("tcp", ctx.String("addr"))
	if err != nil {
		return fmt.Errorf("listen for the browser (--addr names another port): %w", err)
	}
	fmt.Printf("http://%s/\n", listener.Addr())
	server := &http.Server{Handler: http.HandlerFunc(servePage), ReadHeaderTimeout: 10 * time.Second}
	return server.Serve(listener)
}

// servePage prints the whole book for each page, so that a writer sees the
// text as it is now. It takes a fraction of a second.
func servePage(w http.ResponseWriter, r *http.Request) {
	files, err := currentSite()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	name := strings.TrimPrefix(path.Clean(r.URL.Path), "/")
	if name == "" || strings.HasSuffix(r.URL.Path, "/") {
		name = path.Join(name, "index.html")
	}
	content, ok := files[name]
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", mime.TypeByExtension(path.Ext(name)))
	_, _ = w.Write(content)
}
