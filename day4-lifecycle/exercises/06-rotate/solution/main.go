// Copies the lines of the file input to the file log. Before that would be longer than 1000 bytes it becomes log.1, in
// the place of an older one, and log begins anew.
package main

import (
	"bufio"
	"fmt"
	"os"
)

const most = 1000

func main() {
	input, err := os.Open("input")
	check(err)
	log, size := begin()
	for lines := bufio.NewScanner(input); lines.Scan(); {
		line := lines.Text() + "\n"
		if size > 0 && size+len(line) > most {
			check(log.Close())
			check(os.Rename("log", "log.1"))
			log, size = begin()
		}
		n, err := log.WriteString(line)
		check(err)
		size += n
	}
}

func begin() (*os.File, int) {
	log, err := os.OpenFile("log", os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	check(err)
	info, err := log.Stat()
	check(err)
	return log, int(info.Size())
}

func check(err error) {
	if err != nil {
		fmt.Println("error:", err)
		os.Exit(1)
	}
}
