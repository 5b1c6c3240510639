package show

import (
	"errors"
	"fmt"
	"strings"

	urfave "github.com/urfave/cli/v2"

	"example.com/go-docker/day5-networks/commands/action"
	"example.com/go-docker/day5-networks/commands/endpoints"
	"example.com/go-docker/day5-networks/commands/named"
)

// Port is the command port.
var Port = &urfave.Command{
	Name:      "port",
	Usage:     "list a container's published ports",
	ArgsUsage: "CONTAINER [PRIVATE_PORT[/PROTOCOL]]",
	Action: func(ctx *urfave.Context) error {
		c, err := named.One(ctx, 1, 2)
		if err != nil {
			return err
		}
		s, err := action.OpenStore(ctx)
		if err != nil {
			return err
		}
		all, err := endpoints.ByContainer(s)
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
		for _, p := range endpoints.Published(all[c.ID]) {
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
