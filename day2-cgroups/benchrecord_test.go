package main

import (
	"encoding/json"
	"os"
	"testing"
)

// A measurement is a row of a table in the book, as scripts/figures reads it.
type measurement struct {
	Section   string    `json:"section"`
	Row       string    `json:"row"`
	Seconds   []float64 `json:"seconds"` // of each round
	CPU       float64   `json:"cpu"`     // seconds of processor time in one of the rounds
	Kilobytes int64     `json:"kilobytes"`
}

// recordBench adds the measurements to the file that GO_DOCKER_BENCH names, one
// JSON object for each row. scripts/bench.sh makes the book's tables from it.
func recordBench(b *testing.B, rows []measurement) {
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
	for _, row := range rows {
		if err := json.NewEncoder(file).Encode(row); err != nil {
			b.Fatal(err)
		}
	}
}
