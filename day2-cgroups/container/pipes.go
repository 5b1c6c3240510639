package container

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"

	"example.com/go-docker/day2-cgroups/cgroup"
)

// The child's ends of the pipes have these descriptors, because exec.Cmd
// numbers ExtraFiles from 3.
const (
	configFD = 3
	reportFD = 4
)

// pipes connect the parent and init. Init blocks on config until the parent has
// everything ready, then reads the container from it. On report init says why
// it failed; end of file means that the command is running, because exec closes
// the descriptor.
type pipes struct{ config, report *os.File } // the parent's ends

func openPipes(cmd *exec.Cmd) (*pipes, error) {
	configRead, configWrite, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("make a pipe to init: %w", err)
	}
	reportRead, reportWrite, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("make a pipe from init: %w", err), configRead.Close(), configWrite.Close())
	}
	cmd.ExtraFiles = []*os.File{configRead, reportWrite}
	return &pipes{configWrite, reportRead}, nil
}

func (p *pipes) close() error { return errors.Join(p.config.Close(), p.report.Close()) }

// A message is what init reads: the container and how to enter its cgroup. The
// latter is separate because descriptor numbers are not a property of the
// container.
type message struct {
	Container Container
	Entry     cgroup.Entry
}

// send lets init go on.
func (p *pipes) send(m message) error {
	if err := json.NewEncoder(p.config).Encode(m); err != nil {
		return fmt.Errorf("send the container to init: %w", err)
	}
	return nil
}

// receive is the child's side of send. It blocks; end of file means that the
// parent gave up or died, and then nothing may run.
func receive(config io.Reader) (*message, error) {
	m := new(message)
	err := json.NewDecoder(config).Decode(m)
	if err == nil && len(m.Container.Args) == 0 {
		err = errors.New("no command")
	}
	if err != nil {
		return nil, fmt.Errorf("read the container from descriptor %d (init is started by run, not by hand): %w", configFD, err)
	}
	return m, nil
}

// byteStrings may hold any bytes. JSON strings are Unicode, so a byte that is
// not UTF-8, as in an old file name, would arrive as U+FFFD; byteStrings are
// sent as base64 instead.
type byteStrings []string

func (s byteStrings) MarshalJSON() ([]byte, error) {
	raw := make([][]byte, len(s))
	for i := range s {
		raw[i] = []byte(s[i])
	}
	return json.Marshal(raw)
}

func (s *byteStrings) UnmarshalJSON(text []byte) error {
	var raw [][]byte
	if err := json.Unmarshal(text, &raw); err != nil {
		return err
	}
	for _, b := range raw {
		*s = append(*s, string(b))
	}
	return nil
}

// A report says why the command is not running.
type report struct {
	Status  int
	Message string
}

func sendReport(w io.Writer, err error) error {
	s := StatusError{Status: RuntimeError}
	errors.As(err, &s)
	return json.NewEncoder(w).Encode(report{s.Status, err.Error()})
}

func (p *pipes) readReport() error {
	var r report
	err := json.NewDecoder(p.report).Decode(&r)
	if errors.Is(err, io.EOF) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read init's report: %w", err)
	}
	return StatusError{r.Status, errors.New(r.Message)}
}
