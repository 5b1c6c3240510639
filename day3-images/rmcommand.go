package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"
)

var rmCommand = &cli.Command{
	Name:      "rm",
	Usage:     "remove containers that have ended",
	ArgsUsage: "CONTAINER...",
	Action: func(ctx *cli.Context) error {
		if !ctx.Args().Present() {
			return errors.New("rm requires a container: see rm --help")
		}
		s, err := openStore(ctx.String("root"))
		if err != nil {
			return err
		}
		return interruptible(func(until context.Context) error {
			for _, ref := range ctx.Args().Slice() { // one that has begun is removed to the end
				if until.Err() != nil {
					return context.Cause(until)
				}
				c, err := s.findContainer(ref)
				if err != nil {
					return err
				}
				if err := c.tryLock(); err != nil {
					return fmt.Errorf("remove container %s: %w", c.ID, err)
				}
				if err := c.remove(); err != nil {
					return err
				}
				fmt.Println(strings.TrimSpace(ref))
			}
			return nil
		})
	},
}
