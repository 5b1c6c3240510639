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
	CreatedAt, Driver, ID, IPv6, Internal, Labels, Name, Scope string
}

const networkColumns = `{{.ID}}\t{{.Name}}\t{{.Driver}}\t{{.Scope}}`

var networkTitles = networkRow{"CREATED AT", "DRIVER", "NETWORK ID", "IPV6", "INTERNAL", "LABELS", "NAME", "SCOPE"}

var list = &urfave.Command{
	Name:    "ls",
	Aliases: []string{"list"},
	Usage:   "list networks",
	Flags: []urfave.Flag{
		&urfave.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "show ids only", DisableDefaultText: true},
		&urfave.BoolFlag{Name: "no-trunc", Usage: "show everything in full", DisableDefaultText: true},
		&urfave.StringSliceFlag{Name: "filter", Aliases: []string{"f"}, Usage: "`NAME=VALUE`: id, name, driver, type or label"},
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
		rows, err := networkRows(n, ctx.StringSlice("filter"))
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

// networkRows returns the networks that match the filters: ours, and host and
// none, which are not really networks.
func networkRows(n *network.Networks, filters []string) ([]networkRow, error) {
	configs, err := n.List()
	if err != nil {
		return nil, err
	}
	var rows []networkRow
	for _, c := range configs {
		rows = append(rows, networkRow{
			c.Created.Local().Format("2006-01-02 15:04:05 -0700 MST"), "bridge", c.ID,
			strconv.FormatBool(c.IPv6), strconv.FormatBool(c.Internal), joinLabels(c.Labels), c.Name, "local",
		})
	}
	for _, r := range []networkRow{{Name: state.HostMode, Driver: "host"}, {Name: state.NoneMode, Driver: "null"}} {
		r.Scope, r.IPv6, r.Internal = "local", "false", "false"
		rows = append(rows, r)
	}
	slices.SortFunc(rows, func(a, b networkRow) int { return strings.Compare(a.Name, b.Name) })
	for _, f := range filters {
		name, value, found := strings.Cut(f, "=")
		if !found || !slices.Contains([]string{"id", "name", "driver", "type", "label"}, name) {
			return nil, fmt.Errorf("invalid --filter %q: want id, name, driver, type or label=VALUE", f)
		}
		rows = slices.DeleteFunc(rows, func(r networkRow) bool { return !r.matches(name, value) })
	}
	return rows, nil
}

func (r networkRow) matches(filter, value string) bool {
	switch filter {
	case "id":
		return r.ID != "" && strings.HasPrefix(r.ID, value)
	case "name":
		return strings.Contains(r.Name, value)
	case "driver":
		return r.Driver == value
	case "label":
		return slices.ContainsFunc(strings.Split(r.Labels, ","), func(l string) bool {
			return l == value || strings.HasPrefix(l, value+"=")
		})
	}
	builtin := r.Driver != "bridge" || r.Name == network.DefaultName
	return value == "builtin" && builtin || value == "custom" && !builtin
}

func joinLabels(labels map[string]string) string {
	var list []string
	for name, value := range labels {
		list = append(list, name+"="+value)
	}
	slices.Sort(list)
	return strings.Join(list, ",")
}
