// Book checks, runs and prints the pages in docs.
//
//	go run ./scripts/book check            code, translations, links, sections
//	go run ./scripts/book embed            take the code of the pages from the sources again
//	go run ./scripts/book run [PAGE...]    run the console blocks and compare
//	go run ./scripts/book run --update     write what they print into the pages
//	go run ./scripts/book site [-o DIR]    the book as a web site
//	go run ./scripts/book serve            the same, on a port of this machine
//
// docs/STYLE.md has the notation of the pages.
//
// Exit status: 1 when a page is wrong, each fault a line PAGE:LINE: WHAT; 125
// for every other error.
package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/sirupsen/logrus"
	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"
)

func main() {
	logrus.SetFormatter(&logrus.TextFormatter{DisableTimestamp: true})
	err := newApp().Run(os.Args)
	switch {
	case errors.Is(err, errPages):
		os.Exit(1)
	case err != nil:
		logrus.Error(err)
		os.Exit(125)
	}
}

var errPages = errors.New("the pages are wrong")

func newApp() *cli.App {
	return &cli.App{
		Name:            "book",
		Usage:           "check, run and print the pages in docs",
		HideHelpCommand: true,
		ExitErrHandler:  func(*cli.Context, error) {},
		Commands: []*cli.Command{
			{Name: "check", Usage: "check code, translations, links and sections", Action: checkAction},
			{Name: "embed", Aliases: []string{"fill"}, Usage: "take the code of the pages from the sources again", ArgsUsage: "[PAGE...]", Action: fillAction},
			{
				Name:   "site",
				Usage:  "print the book as a web site, to be opened from its folder",
				Flags:  []cli.Flag{&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Value: "book-site", Usage: "write to `DIR`"}},
				Action: siteAction,
			},
			{
				Name:   "serve",
				Usage:  "serve the web site to this machine; a page is printed anew each time",
				Flags:  []cli.Flag{&cli.StringFlag{Name: "addr", Value: "127.0.0.1:8000", Usage: "listen on `ADDRESS`"}},
				Action: serveAction,
			},
			{
				Name:      "run",
				Usage:     "run the console blocks of the pages, as root",
				ArgsUsage: "[PAGE...]",
				Flags: []cli.Flag{
					&cli.BoolFlag{Name: "update", Usage: "write what the commands print into the pages"},
					&cli.BoolFlag{Name: "verbose", Aliases: []string{"v"}, Usage: "show what is typed and printed"},
					&cli.DurationFlag{Name: "limit", Usage: "time for one command"},
				},
				Action: runAction,
			},
		},
	}
}

func checkAction(*cli.Context) error {
	root, err := repositoryRoot()
	if err != nil {
		return err
	}
	b, failures, err := readBook(relative(filepath.Join(root, "docs")))
	if err != nil {
		return err
	}
	return report(append(failures, b.check()...))
}

// report prints what is wrong, a line each.
func report(failures []failure) error {
	for _, f := range failures {
		fmt.Println(f)
	}
	if len(failures) > 0 {
		return errPages
	}
	return nil
}

// relative is the path as the user would write it.
func relative(path string) string {
	dir, err := os.Getwd()
	if err != nil {
		return path
	}
	if rel, err := filepath.Rel(dir, path); err == nil {
		return rel
	}
	return path
}

// pagesOf are the pages that the user names, or else all that match the pattern.
func pagesOf(ctx *cli.Context, pattern string) (pages []*page, err error) {
	paths := ctx.Args().Slice()
	if len(paths) == 0 {
		if paths, err = filepath.Glob(pattern); err != nil {
			return nil, err
		}
	}
	for _, path := range paths {
		p, err := readPage(path)
		if err != nil {
			return nil, err
		}
		pages = append(pages, p)
	}
	return pages, nil
}

func fillAction(ctx *cli.Context) error {
	root, err := repositoryRoot()
	if err != nil {
		return err
	}
	pages, err := pagesOf(ctx, filepath.Join(relative(root), "docs", "*", "*.md"))
	if err != nil {
		return err
	}
	var failures []failure
	for _, p := range pages {
		changed, failed, err := p.fill()
		if err != nil {
			return fmt.Errorf("fill %s: %w", p.path, err)
		}
		if failed != nil {
			failures = append(failures, *failed)
		}
		if changed {
			logrus.Infof("%s: code renewed", p.path)
		}
	}
	return report(failures)
}

func runAction(ctx *cli.Context) error {
	root, err := repositoryRoot()
	if err != nil {
		return err
	}
	if os.Geteuid() != 0 {
		return errors.New("the console blocks are for root: run this as root, in a virtual machine")
	}
	// What the commands leave running becomes our child: prctl(2).
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("become the reaper of what the commands leave running: %w", err)
	}
	pages, err := pagesOf(ctx, filepath.Join(relative(root), "docs", languages[0].Dir, "*.md"))
	if err != nil {
		return err
	}
	r, err := newRunner(root)
	if err != nil {
		return err
	}
	r.update = ctx.Bool("update")
	if ctx.Bool("verbose") {
		r.log = os.Stderr
	}
	if limit := ctx.Duration("limit"); limit > 0 {
		r.limit = limit
	}
	var wrong []failure
	for _, p := range pages {
		failures, changes, err := r.page(p)
		if err != nil {
			return err
		}
		wrong = append(wrong, failures...)
		if len(changes) > 0 {
			if err := r.apply(p, changes); err != nil {
				return err
			}
			logrus.Infof("%s: %d outputs rewritten", p.path, len(changes))
		}
	}
	return report(wrong)
}
