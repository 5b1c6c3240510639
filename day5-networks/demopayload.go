package main

import (
	"cmp"

	urfave "github.com/urfave/cli/v2"

	"example.com/go-docker/day5-networks/container"
	"example.com/go-docker/day5-networks/demo"
)

// payloadCommand is what the demo's containers run.
var payloadCommand = &urfave.Command{
	Name:   "payload",
	Hidden: true,
	Action: func(ctx *urfave.Context) error {
		if ctx.Args().First() == "ask" {
			return payloadAsk(ctx.Context, ctx.Args().Tail())
		}
		signals := container.CatchSignals()
		server, err := demo.Listen(80, cmp.Or(ctx.Args().Get(1), "nobody"))
		if err != nil {
			return err
		}
		<-signals.Caught()
		return server.Close()
	},
}
