// Package demo shows what the chapter has built: host and container side by
// side, namespace by namespace, each as it sees itself.
package demo

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"text/tabwriter"

	"golang.org/x/sys/unix"

	"example.com/go-docker/day1-namespaces/container"
	"example.com/go-docker/day1-namespaces/namespace"
)

// comparison is one namespace, seen from both sides.
type comparison struct {
	Namespace string `json:"namespace"`
	Host      fact   `json:"host"`
	Container fact   `json:"container"`
}

// Run prints the comparison, as a table or as JSON.
func Run(out io.Writer, format string) (err error) {
	if format != "table" && format != "json" {
		return fmt.Errorf("invalid --format %q: want table or json", format)
	}
	forget, err := shareMemory()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, forget()) }()
	host, err := collectFacts()
	if err != nil {
		return err
	}
	inside, err := containerFacts()
	if err != nil {
		return err
	}
	rows := make([]comparison, len(host))
	for i := range host {
		if host[i].Inode == inside[i].Inode {
			return fmt.Errorf("the container is in the host's %s namespace, %s", host[i].Namespace, host[i].Inode)
		}
		rows[i] = comparison{host[i].Namespace, host[i], inside[i]}
	}
	if format == "json" {
		return json.NewEncoder(out).Encode(map[string]any{"namespaces": rows})
	}
	return printTable(out, rows)
}

// containerFacts runs a container that looks at itself.
func containerFacts() ([]fact, error) {
	id := container.NewID()
	c := &container.Container{
		ID: id, Hostname: id, Init: true, Namespaces: namespace.All(),
		Args: []string{"/proc/self/exe", "facts"},
	}
	read, write, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("make a pipe for the container's output: %w", err)
	}
	err = container.Run(c, container.Parent{Signals: container.CatchSignals(), Stdout: write})
	if err := errors.Join(err, write.Close()); err != nil {
		return nil, errors.Join(fmt.Errorf("have a container look at itself: %w", err), read.Close())
	}
	out, err := io.ReadAll(read)
	if err := errors.Join(err, read.Close()); err != nil {
		return nil, fmt.Errorf("read what the container saw: %w", err)
	}
	var facts []fact
	if err := json.Unmarshal(out, &facts); err != nil {
		return nil, fmt.Errorf("read what the container saw: %w", err)
	}
	return facts, nil
}

// shareMemory makes a System V shared memory segment, so that there is
// something the container cannot see. It is marked for removal at once; the
// kernel keeps it as long as we are attached to it. shmctl(2)
func shareMemory() (forget func() error, err error) {
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
	return func() error { return unix.SysvShmDetach(memory) }, nil
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
