package main

import (
	"encoding/json"
	"os"
	"testing"
)

// recordBench adds what was measured to the file that GO_DOCKER_BENCH names, a
// JSON object for each row. scripts/bench.sh makes the tables of the book of it.
func recordBench(b *testing.B, section string, rows []*benchRow) {
	b.Helper()
	path := os.Getenv("GO_DOCKER_BENCH")
	if path == "" {
		return
	}
	file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		b.Fatal(err)
	}
	defer file.Close()
	for _, r := range rows {
		measured := map[string]any{"section": section, "row": r.name, "seconds": r.took, "cpu": r.cpu, "kilobytes": r.kilobytes}
		if err := json.NewEncoder(file).Encode(measured); err != nil {
			b.Fatal(err)
		}
	}
}
