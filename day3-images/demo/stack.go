package demo

import (
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/docker/go-units"
)

// A change is what one layer does to one path.
type change struct {
	Kind string `json:"kind"` // added, changed or deleted
	Path string `json:"path"`
}

// A layer is one directory of the stack.
type layer struct {
	Name    string   `json:"name"`
	Changes []change `json:"changes"`
}

// lookAtLayers finds out from the directories alone, lowest first, what each
// layer does. A whiteout is a character device 0, 0.
func lookAtLayers(dirs []string) ([]layer, error) {
	seen := map[string]bool{}
	var stack []layer
	for i, dir := range dirs {
		l := layer{Name: fmt.Sprintf("layer %d", i+1)}
		if i == len(dirs)-1 {
			l.Name = "container"
		}
		err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			name := strings.TrimPrefix(path, dir)
			kind := "added"
			switch {
			case e.Type()&fs.ModeCharDevice != 0:
				kind = "deleted"
			case seen[name]:
				kind = "changed"
			}
			l.Changes = append(l.Changes, change{kind, name})
			seen[name] = true
			return nil
		})
		if err != nil {
			return nil, err
		}
		stack = append(stack, l)
	}
	return stack, nil
}

// printStack draws the layers on top of each other.
func printStack(w io.Writer, stack []layer) error {
	const rule = "+--------------------------------------------------------+"
	sign := map[string]string{"added": "+", "changed": "~", "deleted": "-"}
	fmt.Fprintln(w, rule)
	for _, l := range slices.Backward(stack) {
		note := "read-only"
		if l.Name == "container" {
			note = "writable; memory limit " + units.BytesSize(Memory)
		}
		fmt.Fprintf(w, "| %-14s%40s |\n", l.Name, note)
		for _, c := range l.Changes {
			fmt.Fprintf(w, "|   %s %-50s |\n", sign[c.Kind], c.Path)
		}
		fmt.Fprintln(w, rule)
	}
	_, err := fmt.Fprintln(w, "+ added   ~ changed: the file above hides the one below   - deleted: a whiteout hides it")
	return err
}
