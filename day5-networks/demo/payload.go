package demo

import (
	"cmp"
	"context"
	"errors"
	"os"
	"time"

	"example.com/go-docker/day5-networks/container"
	"example.com/go-docker/day5-networks/talk"
)

// Payload is what the demo's containers run: serve NAME, or ask, see askAs.
func Payload(ctx context.Context, args []string) error {
	if len(args) > 0 && args[0] == "ask" {
		return askAs(ctx, args[1:])
	}
	name := ""
	if len(args) > 1 {
		name = args[1]
	}
	signals := container.CatchSignals()
	server, err := talk.Listen(80, cmp.Or(name, "nobody"))
	if err != nil {
		return err
	}
	<-signals.Caught()
	return server.Close()
}

// askAs sends a request from within a container: PROTOCOL ADDRESS PATIENCE.
func askAs(ctx context.Context, args []string) error {
	if len(args) != 3 {
		return errors.New("want a protocol, an address and a time")
	}
	patience, err := time.ParseDuration(args[2])
	if err != nil {
		return err
	}
	_, err = os.Stdout.WriteString(talk.Ask(ctx, args[0], args[1], patience))
	return err
}
