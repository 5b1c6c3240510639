package demo

import (
	"context"
	"errors"
	"os"
	"time"

	"example.com/go-docker/day5-networks/container"
	"example.com/go-docker/day5-networks/talk"
)

// Payload is what the demo's containers run.
func Payload(ctx context.Context, args []string) error {
	switch {
	case len(args) == 4 && args[0] == "ask":
		return askAs(ctx, args[1:])
	case len(args) != 2:
		return errors.New("want serve NAME, or ask PROTOCOL ADDRESS PATIENCE")
	}
	signals := container.CatchSignals()
	server, err := talk.Listen(80, args[1])
	if err != nil {
		return err
	}
	<-signals.Caught()
	return server.Close()
}

// askAs sends a request from within a container.
func askAs(ctx context.Context, args []string) error {
	patience, err := time.ParseDuration(args[2])
	if err != nil {
		return err
	}
	_, err = os.Stdout.WriteString(talk.Ask(ctx, args[0], args[1], patience))
	return err
}
