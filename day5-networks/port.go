package main

import (
	"errors"
	"fmt"
	"strings"

	urfave "github.com/urfave/cli/v2"
)

var portCommand = &urfave.Command{
	Name:      "port",
	Usage:     "list a container's published ports",
	ArgsUsage: "CONTAINER [PRIVATE_PORT[/PROTOCOL]]",
	Action: func(ctx *urfave.Context) error {
		c, err := one(ctx, 1, 2)
		if err != nil {
			return err
		}
		s, err := openStore(ctx)
		if err != nil {
			return err
		}
		all, err := endpointsByContainer(s)
		if err != nil {
			return err
		}
		if !c.State.Live() {
			all = nil
		}
		wanted := strings.ToLower(ctx.Args().Get(1))
		if wanted != "" && !strings.Contains(wanted, "/") {
			wanted += "/tcp"
		}
		found := false
		for _, p := range publishedOn(all[c.ID]) {
			switch {
			case wanted == "":
				fmt.Printf("%s -> %s\n", p.Private(), p.Public())
			case wanted == p.Private():
				fmt.Println(p.Public())
				found = true
			}
		}
		if wanted != "" && !found {
			return errors.New("no public port '" + wanted + "' published for " + ctx.Args().First())
		}
		return nil
	},
}
