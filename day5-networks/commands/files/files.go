// Package files has the commands cp and export, which copy files out of a
// container and into it. The room transfer does the work. The ladder has no
// rung for it.
package files

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	urfave "github.com/urfave/cli/v2"

	"example.com/go-docker/day5-networks/archive"
	"example.com/go-docker/day5-networks/commands/action"
	"example.com/go-docker/day5-networks/commands/named"
	"example.com/go-docker/day5-networks/interrupt"
	"example.com/go-docker/day5-networks/transfer"
)

// Copy is the command cp.
var Copy = &urfave.Command{
	Name:      "cp",
	Usage:     "copy files out of a container or into it",
	ArgsUsage: "CONTAINER:PATH PATH|- or PATH|- CONTAINER:PATH",
	Description: "DIR/. means what is in a directory. With - an archive is written to standard output, or read from\n" +
		"standard input. Copies belong to the user who runs this; with -a they keep their owner.",
	Flags: []urfave.Flag{
		&urfave.BoolFlag{Name: "archive", Aliases: []string{"a"}, Usage: "keep owners, setuid and setgid", DisableDefaultText: true},
		&urfave.BoolFlag{Name: "follow-link", Aliases: []string{"L"}, Usage: "copy the target of a link, if PATH is one", DisableDefaultText: true},
	},
	Action: func(ctx *urfave.Context) error {
		if ctx.NArg() != 2 {
			return errors.New("cp requires two paths, one of them in a container: see cp --help")
		}
		from, to := splitPlace(ctx.Args().Get(0)), splitPlace(ctx.Args().Get(1))
		if (from.container == "") == (to.container == "") {
			return errors.New("cp copies between the host and one container: write CONTAINER:PATH for one of the two, and ./a:b for a file of the host with a colon")
		}
		o := transfer.Options{Archive: ctx.Bool("archive"), Follow: ctx.Bool("follow-link")}
		return action.Interruptible(func(until context.Context) error { return copyFiles(ctx, until, from, to, o) })
	},
}

// Export is the command export.
var Export = &urfave.Command{
	Name:      "export",
	Usage:     "write the files of a container as an archive, without its volumes",
	ArgsUsage: "CONTAINER",
	Flags: []urfave.Flag{
		&urfave.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "`FILE` to write (default: standard output)"},
	},
	Action: func(ctx *urfave.Context) error {
		c, err := named.One(ctx, 1, 1)
		if err != nil {
			return err
		}
		root, release, err := c.Files("/")
		if err != nil {
			return err
		}
		err = action.Interruptible(func(until context.Context) error {
			return archive.Write(ctx.String("output"), func(w io.Writer) error {
				return transfer.Pack(interrupt.Writer(until, w), transfer.Place{Root: root, Path: "/."}, ".", transfer.Options{OneFilesystem: true})
			})
		})
		return errors.Join(err, release())
	},
}

// A cpPath is an argument of cp.
type cpPath struct{ container, path string }

// splitPlace distinguishes CONTAINER:PATH from a path on the host, as Docker
// does: one that starts with / or . is on the host.
func splitPlace(arg string) cpPath {
	name, path, ok := strings.Cut(arg, ":")
	if !ok || strings.HasPrefix(arg, "/") || strings.HasPrefix(arg, ".") || strings.Contains(name, "/") {
		return cpPath{"", arg}
	}
	return cpPath{name, path}
}

func copyFiles(ctx *urfave.Context, until context.Context, from, to cpPath, o transfer.Options) (err error) {
	inside := from
	if to.container != "" {
		inside = to
	}
	c, err := named.Find(ctx, inside.container)
	if err != nil {
		return err
	}
	root, release, err := c.Files(inside.path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, release()) }()
	host, err := os.Open("/")
	if err != nil {
		return err
	}
	defer host.Close()
	source, err := place(from, root, host)
	if err != nil {
		return err
	}
	target, err := place(to, root, host)
	if err != nil {
		return err
	}
	switch {
	case to.path == "-" && to.container == "":
		err = transfer.Pack(interrupt.Writer(until, os.Stdout), source, "", o)
	case from.path == "-" && from.container == "":
		err = transfer.Unpack(interrupt.Waiting(until, os.Stdin), target, o)
	default:
		err = transfer.Copy(until, source, target, o)
	}
	if err != nil {
		return fmt.Errorf("copy %s to %s: %w", ctx.Args().Get(0), ctx.Args().Get(1), err)
	}
	return nil
}

// place returns the place that an argument names. Paths on the host are
// relative to our working directory.
func place(p cpPath, container, host *os.File) (transfer.Place, error) {
	if p.container != "" {
		if p.path == "" {
			return transfer.Place{}, fmt.Errorf("%s: names no path in the container", p.container)
		}
		return transfer.Place{Root: container, Path: p.path}, nil
	}
	if p.path == "" { // Abs would return the working directory
		return transfer.Place{}, errors.New("\"\" names no path on the host")
	}
	absolute, err := filepath.Abs(p.path)
	switch { // Abs drops these endings, which have a meaning
	case p.path == "." || strings.HasSuffix(p.path, "/."):
		absolute += "/."
	case strings.HasSuffix(p.path, "/"):
		absolute += "/"
	}
	return transfer.Place{Root: host, Path: absolute}, err
}
