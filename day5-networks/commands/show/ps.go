// Package show has the commands that show what containers are doing: ps, logs,
// top and port.
//
// It grew from rung 05-logs, and adds filters and formats for lists, times in
// logs, and the last lines of a log.
package show

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/docker/go-units"
	"github.com/sirupsen/logrus"
	urfave "github.com/urfave/cli/v2"

	"example.com/go-docker/day5-networks/cli"
	"example.com/go-docker/day5-networks/commands/action"
	"example.com/go-docker/day5-networks/commands/endpoints"
	"example.com/go-docker/day5-networks/commands/output"
	"example.com/go-docker/day5-networks/lifecycle"
	"example.com/go-docker/day5-networks/ports"
	"example.com/go-docker/day5-networks/state"
	"example.com/go-docker/day5-networks/store"
)

// Ps is the command ps.
var Ps = &urfave.Command{
	Name:  "ps",
	Usage: "list containers",
	Flags: []urfave.Flag{
		&urfave.BoolFlag{Name: "all", Aliases: []string{"a"}, Usage: "also those that are not running", DisableDefaultText: true},
		&urfave.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "show ids only", DisableDefaultText: true},
		&urfave.BoolFlag{Name: "latest", Aliases: []string{"l"}, Usage: "show the one created last", DisableDefaultText: true},
		&urfave.IntFlag{Name: "last", Aliases: []string{"n"}, Value: -1, Usage: "show the `N` created last"},
		&urfave.BoolFlag{Name: "no-trunc", Usage: "show everything in full", DisableDefaultText: true},
		&urfave.StringSliceFlag{Name: "filter", Aliases: []string{"f"}, Usage: "`NAME=VALUE`: id, name, status, exited or ancestor"},
		&urfave.StringFlag{Name: "format", Value: "table", Usage: "`table`, json, or a template like '{{.ID}} {{.Status}}'"},
	},
	Action: func(ctx *urfave.Context) error {
		if ctx.Args().Present() {
			return errors.New("ps takes no arguments: see ps --help")
		}
		keep, err := lifecycle.ParseFilters(ctx.StringSlice("filter"))
		if err != nil {
			return err
		}
		show, err := output.List(ctx.String("format"), psColumns, psTitles)
		if err != nil {
			return err
		}
		s, err := action.OpenStore(ctx)
		if err != nil {
			return err
		}
		all, err := lifecycle.List(s)
		if err != nil {
			return err
		}
		last := ctx.Int("last")
		if ctx.Bool("latest") {
			last = 1
		}
		everyState := ctx.Bool("all") || last >= 0 || slices.ContainsFunc(ctx.StringSlice("filter"), func(f string) bool {
			return strings.HasPrefix(f, "status=") || strings.HasPrefix(f, "exited=")
		})
		all = slices.DeleteFunc(all, func(c *lifecycle.Container) bool { return !everyState && !c.State.Live() || !keep(c) })
		if last >= 0 {
			all = all[:min(last, len(all))]
		}
		if ctx.Bool("quiet") {
			for _, c := range all {
				fmt.Println(c.ID)
			}
			return nil
		}
		rows, err := rowsOf(s, all, ctx.Bool("no-trunc"))
		if err != nil {
			return err
		}
		return show(os.Stdout, rows)
	},
}

// A psRow is one line of ps. Its fields have the names of Docker's templates.
type psRow struct {
	ID, Image, Command, CreatedAt, RunningFor, State, Status, Ports, Networks, Names string
}

const psColumns = `{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}\t{{.Names}}`

var psTitles = psRow{"CONTAINER ID", "IMAGE", "COMMAND", "CREATED AT", "CREATED", "STATE", "STATUS", "PORTS", "NETWORKS", "NAMES"}

func rowsOf(s *store.Store, all []*lifecycle.Container, full bool) ([]psRow, error) {
	on, err := endpoints.ByContainer(s)
	if err != nil {
		return nil, err
	}
	var rows []psRow
	for _, c := range all {
		r := rowOf(c, full)
		config, err := state.ReadNetwork(c.Dir)
		if err != nil {
			logrus.Warn(err)
			config = new(state.Network)
		}
		if c.State.Live() {
			r.Ports = ports.Show(endpoints.Published(on[c.ID]), config.Exposed)
		}
		r.Networks = config.Mode
		if config.Mode == "" {
			var names []string
			for _, a := range config.Attachments {
				names = append(names, a.Network)
			}
			r.Networks = strings.Join(names, ",")
		}
		rows = append(rows, r)
	}
	return rows, nil
}

func rowOf(c *lifecycle.Container, full bool) psRow {
	command := cli.Printable(strings.Join(c.Args, " "))
	if runes := []rune(command); !full && len(runes) > 20 {
		command = string(runes[:19]) + "…"
	}
	return psRow{
		ID: c.ID, Image: cmp.Or(c.ImageName, c.Image), Command: strconv.Quote(command),
		CreatedAt: c.Created.Local().Format("2006-01-02 15:04:05 -0700 MST"), RunningFor: output.Ago(c.Created),
		State: string(c.State.Status), Status: statusText(c.State), Names: cmp.Or(c.Name, c.ID),
	}
}

// statusText words the status as Docker does.
func statusText(s *state.State) string {
	since := func(t time.Time) string { return units.HumanDuration(time.Since(t)) }
	switch s.Status {
	case state.Running:
		if s.Lost { // and its shim does not say since when
			return "Up"
		}
		return "Up " + since(s.StartedAt)
	case state.Paused:
		return "Up " + since(s.StartedAt) + " (Paused)"
	case state.Restarting:
		return fmt.Sprintf("Restarting (%d) %s ago", s.ExitCode, since(s.FinishedAt))
	case state.Exited:
		return fmt.Sprintf("Exited (%d) %s", s.ExitCode, output.Ago(s.FinishedAt))
	}
	return "Created"
}
