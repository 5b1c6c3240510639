package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"text/tabwriter"

	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"
)

var formatFlag = &cli.StringFlag{Name: "format", Value: "table", Usage: "`table` or json"}

// comparison is one namespace, seen from both sides.
type comparison struct {
	Namespace string `json:"namespace"`
	Host      fact   `json:"host"`
	Container fact   `json:"container"`
}

// demo shows host and container side by side, namespace by namespace.
func demo(ctx *cli.Context) error {
	format := ctx.String("format")
	if format != "table" && format != "json" {
		return fmt.Errorf("invalid --format %q: want table or json", format)
	}
	forget, err := shareMemory()
	if err != nil {
		return err
	}
	defer forget()
	host, err := collectFacts()
	if err != nil {
		return err
	}
	container, err := containerFacts()
	if err != nil {
		return err
	}
	rows := make([]comparison, len(host))
	for i := range host {
		if host[i].Inode == container[i].Inode {
			return fmt.Errorf("the container is in the host's %s namespace, %s", host[i].Namespace, host[i].Inode)
		}
		rows[i] = comparison{host[i].Namespace, host[i], container[i]}
	}
	if format == "json" {
		return json.NewEncoder(os.Stdout).Encode(map[string]any{"namespaces": rows})
	}
	return printTable(os.Stdout, rows)
}

// containerFacts has a container look at itself.
func containerFacts() ([]fact, error) {
	id, err := newID()
	if err != nil {
		return nil, err
	}
	c := &Container{
		ID: id, Hostname: id, Init: true, Namespaces: allNamespaces(),
		Args: []string{"/proc/self/exe", "facts"},
	}
	read, write, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("make a pipe for the container's output: %w", err)
	}
	defer read.Close()
	c.Stdout = write
	status, err := run(c)
	write.Close()
	if err != nil {
		return nil, err
	}
	out, err := io.ReadAll(read)
	if err != nil || status != 0 {
		return nil, fmt.Errorf("the container looked at itself and exited with %d: %w", status, err)
	}
	var facts []fact
	if err := json.Unmarshal(out, &facts); err != nil {
		return nil, fmt.Errorf("read what the container saw: %w", err)
	}
	return facts, nil
}

// shareMemory makes one System V shared memory segment, so that there is
// something the container can fail to see. It is marked for removal at once:
// the kernel keeps it for as long as we are attached to it. shmctl(2)
func shareMemory() (forget func(), err error) {
	id, err := unix.SysvShmGet(unix.IPC_PRIVATE, 4096, unix.IPC_CREAT|0o600)
	if err != nil {
		return nil, fmt.Errorf("make a shared memory segment: %w", err)
	}
	memory, err := unix.SysvShmAttach(id, 0, 0)
	if _, errRemove := unix.SysvShmCtl(id, unix.IPC_RMID, nil); errRemove != nil {
		return nil, fmt.Errorf("remove shared memory segment %d: %w", id, errRemove)
	}
	if err != nil {
		return nil, fmt.Errorf("attach shared memory segment %d: %w", id, err)
	}
	return func() { _ = unix.SysvShmDetach(memory) }, nil
}

func printTable(w io.Writer, rows []comparison) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "NAMESPACE\tHOST\t\tCONTAINER")
	for _, r := range rows {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", r.Namespace,
			r.Host.Inode, r.Host.Sees, r.Container.Inode, r.Container.Sees)
	}
	return table.Flush()
}
