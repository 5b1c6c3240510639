// Package run has the commands run and rm: it turns an image and the user's
// flags into a container's directory, cgroup, process and exit status.
//
// It grew from day 3's finale, which joins rungs 07-overlay and 09-image, and
// adds everything that the user may ask for and cleanup on every path.
package run

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	urfave "github.com/urfave/cli/v2"

	"example.com/go-docker/day3-images/commands/action"
	"example.com/go-docker/day3-images/commands/fetch"
	"example.com/go-docker/day3-images/commands/limits"
	"example.com/go-docker/day3-images/commands/options"
	"example.com/go-docker/day3-images/container"
	"example.com/go-docker/day3-images/containers"
)

// Run is the command run.
func Run() *urfave.Command {
	return &urfave.Command{
		Name:      "run",
		Usage:     "run a command in a new container of an image",
		ArgsUsage: "IMAGE [COMMAND] [ARG...]",
		Flags:     slices.Concat(options.ContainerFlags(), limits.Flags(), options.SettingFlags(), []urfave.Flag{fetch.InsecureFlag()}),
		Action:    runImage,
	}
}

// runImage is run: an image's layers, the container's own on top, and then what
// the earlier chapters have built.
func runImage(ctx *urfave.Context) error {
	c, err := options.Container(ctx)
	if err != nil {
		return err
	}
	p := &plan{container: c}
	if p.cgroup, err = options.Cgroup(ctx, c); err != nil {
		return err
	}
	if p.hosts, err = options.Hosts(ctx); err != nil {
		return err
	}
	name := ctx.String("name")
	if name != "" {
		if err := containers.CheckName(name); err != nil {
			return fmt.Errorf("invalid --name %q: %w", name, err)
		}
	}
	if err := action.RequireRoot(); err != nil {
		return err
	}
	s, err := action.OpenStore(ctx)
	if err != nil {
		return err
	}
	if p.image, err = fetch.ResolveOrPull(ctx, s, ctx.Args().First()); err != nil {
		return err
	}
	if err := options.ApplyConfig(ctx, c, p.image.Config.Config); err != nil {
		return err
	}
	if ctx.Bool("interactive") {
		p.parent.Stdin = os.Stdin
	}
	p.dir = &containers.Container{ID: c.ID, Name: name, Image: p.image.ID, Created: time.Now().UTC(), Args: c.Args, AutoRemove: ctx.Bool("rm")}
	status, err := p.run(s)
	if ctx.Bool("rm") || err != nil { // a container that never ran has nothing to commit
		err = errors.Join(err, p.dir.Remove())
	}
	if err != nil || status == 0 {
		return err
	}
	return container.StatusError{Status: status}
}
