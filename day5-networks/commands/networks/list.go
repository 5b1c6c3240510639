package networks

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/sirupsen/logrus"
	urfave "github.com/urfave/cli/v2"

	"example.com/go-docker/day5-networks/commands/output"
	"example.com/go-docker/day5-networks/network"
	"example.com/go-docker/day5-networks/state"
	"example.com/go-docker/day5-networks/store"
)

// A networkRow is a line of network ls. Its fields have the names of Docker's
// templates.
type networkRow struct {
	CreatedAt, Driver, ID, IPv6, Internal, Name, Scope string
}

const networkColumns = `{{.ID}}\t{{.Name}}\t{{.Driver}}\t{{.Scope}}`

var networkTitles = networkRow{"CREATED AT", "DRIVER", "NETWORK ID", "IPV6", "INTERNAL", "NAME", "SCOPE"}

var list = &urfave.Command{
	Name:    "ls",
	Aliases: []string{"list"},
	Usage:   "list networks",
	Flags: []urfave.Flag{
		&urfave.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "show ids only", DisableDefaultText: true},
		&urfave.StringFlag{Name: "format", Value: "table", Usage: "`table`, json, or a template like '{{.ID}} {{.Name}}'"},
	},
	Action: withNetworks(0, 0, func(ctx *urfave.Context, s *store.Store, n *network.Networks) error {
		show, err := output.List(ctx.String("format"), networkColumns, networkTitles)
		if err != nil {
			return err
		}
		if _, err := n.Find(network.DefaultName); err != nil {
			logrus.Warn(err) // it cannot be made now, and the others are listed
		}
		rows, err := networkRows(n)
		if err != nil {
			return err
		}
		if ctx.Bool("quiet") {
			for _, r := range rows {
				fmt.Println(r.ID)
			}
			return nil
		}
		return show(os.Stdout, rows)
	}),
}

// networkRows returns our networks, and host and none, which are not really
// networks.
func networkRows(n *network.Networks) ([]networkRow, error) {
	configs, err := n.List()
	if err != nil {
		return nil, err
	}
	var rows []networkRow
	for _, c := range configs {
		rows = append(rows, networkRow{
			c.Created.Local().Format("2006-01-02 15:04:05 -0700 MST"), "bridge", c.ID,
			strconv.FormatBool(c.IPv6), strconv.FormatBool(c.Internal), c.Name, "local",
		})
	}
	for _, r := range []networkRow{{Name: state.HostMode, Driver: "host"}, {Name: state.NoneMode, Driver: "null"}} {
		r.Scope, r.IPv6, r.Internal = "local", "false", "false"
		rows = append(rows, r)
	}
	slices.SortFunc(rows, func(a, b networkRow) int { return strings.Compare(a.Name, b.Name) })
	return rows, nil
}
