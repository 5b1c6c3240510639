package show

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"

	urfave "github.com/urfave/cli/v2"

	"example.com/go-docker/day5-networks/cgroup"
	"example.com/go-docker/day5-networks/commands/named"
	"example.com/go-docker/day5-networks/hierarchy"
	"example.com/go-docker/day5-networks/lifecycle"
)

// Top is the command top.
var Top = &urfave.Command{
	Name:      "top",
	Usage:     "show the processes of a container, with ps(1)",
	ArgsUsage: "CONTAINER [PS OPTIONS]",
	Action: func(ctx *urfave.Context) error {
		c, err := named.One(ctx, 1, 0)
		if err != nil {
			return err
		}
		records, err := cgroup.Running([]string{c.ID})
		if err != nil {
			return err
		}
		if len(records) == 0 {
			return fmt.Errorf("container %s: %w", c.ID, lifecycle.ErrNotRunning)
		}
		pids, err := hierarchy.Processes(records[0].Cgroups[0])
		if err != nil {
			return err
		}
		options := ctx.Args().Tail()
		if len(options) == 0 {
			options = []string{"-ef"}
		}
		slices.Sort(pids) // ps -q keeps their order
		// Without -q, -o alone would show only what has our terminal; but some
		// options cannot be combined with it.
		out, err := exec.Command("ps", append(slices.Clone(options), "-q", strings.Trim(fmt.Sprint(pids), "[]"))...).Output()
		if err != nil {
			ps := exec.Command("ps", options...)
			ps.Stderr = os.Stderr
			out, err = ps.Output()
		}
		if err != nil {
			return fmt.Errorf("ps %s: %w", strings.Join(options, " "), err)
		}
		pids = slices.DeleteFunc(pids, func(pid int) bool { return len(pids) > 1 && pid == c.State.PID }) // our init
		return printOwn(os.Stdout, string(out), pids)
	},
}

// printOwn prints only the lines of ps(1) about these processes.
func printOwn(w io.Writer, text string, pids []int) error {
	header, rest, _ := strings.Cut(text, "\n")
	column := slices.Index(strings.Fields(header), "PID")
	if column < 0 {
		return errors.New("ps prints no PID with these options, so the container's processes cannot be found")
	}
	fmt.Fprintln(w, header)
	for line := range strings.Lines(rest) {
		fields := strings.Fields(line)
		if len(fields) > column && slices.ContainsFunc(pids, func(pid int) bool { return fields[column] == strconv.Itoa(pid) }) {
			fmt.Fprint(w, line)
		}
	}
	return nil
}
