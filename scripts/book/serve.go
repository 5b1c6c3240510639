package main

import (
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"testing/fstest"
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

// serveAction prints the whole book anew for each request, so that a writer always
// sees the current text. It takes a fraction of a second.
func serveAction(ctx *cli.Context) error {
	listener, err := net.Listen("tcp", ctx.String("addr"))
	if err != nil {
		return fmt.Errorf("listen for the browser (--addr names another port): %w", err)
	}
	fmt.Printf("http://%s/\n", listener.Addr())
	server := &http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		files, err := currentSite()
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		tree := fstest.MapFS{}
		for name, content := range files {
			tree[name] = &fstest.MapFile{Data: content}
		}
		http.FileServerFS(tree).ServeHTTP(w, r)
	})}
	return server.Serve(listener)
}
