package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"example.com/go-docker/day3-images/store"
	urfave "github.com/urfave/cli/v2"
)

var rmCommand = &urfave.Command{
	Name:      "rm",
	Usage:     "remove containers that have ended",
	ArgsUsage: "CONTAINER...",
	Action: func(ctx *urfave.Context) error {
		if !ctx.Args().Present() {
			return errors.New("rm requires a container: see rm --help")
		}
		s, err := store.Open(ctx.String("root"))
		if err != nil {
			return err
		}
		return interruptible(func(until context.Context) error {
			for _, ref := range ctx.Args().Slice() { // one that has begun is removed to the end
				if until.Err() != nil {
					return context.Cause(until)
				}
				c, err := s.FindContainer(ref)
				if err != nil {
					return err
				}
				if err := c.TryLock(); err != nil {
					return fmt.Errorf("remove container %s: %w", c.ID, err)
				}
				if err := c.Remove(); err != nil {
					return err
				}
				fmt.Println(strings.TrimSpace(ref))
			}
			return nil
		})
	},
}
