package container

import (
	"bytes"
	"os"
	"os/exec"
	"reflect"
	"strings"
	"testing"
)

func FuzzContainerArrivesExactly(f *testing.F) {
	f.Add("", "A=1")
	f.Add("世界 \n \\n \"", "A=\xff\xfe")
	f.Fuzz(func(t *testing.T, arg, env string) {
		read, write, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer read.Close()
		sent := &Container{ID: "0123456789ab", Args: []string{arg, "", arg}, Env: []string{env}, Hostname: "世界", TTY: true, Init: true, Namespaces: 1 << 30}
		go func() {
			defer write.Close()
			if err := (&pipes{config: write}).send(sent); err != nil {
				t.Error(err)
			}
		}()
		got, err := receive(read)
		if err != nil || !reflect.DeepEqual(got, sent) {
			t.Errorf("got %+v, %v, want %+v", got, err, sent)
		}
	})
}

func FuzzReceive(f *testing.F) {
	f.Add([]byte(""))
	f.Add([]byte("{}"))
	f.Add([]byte(`{"Args":["c2g="],"Env":["QT0x"]}`))
	f.Fuzz(func(t *testing.T, config []byte) {
		if c, err := receive(bytes.NewReader(config)); err == nil && len(c.Args) == 0 {
			t.Error("a container without a command")
		}
	})
}

func TestReport(t *testing.T) {
	for _, want := range []StatusError{
		cannotRun("x", exec.ErrNotFound),
		cannotRun("x", os.ErrPermission),
	} {
		read, write, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := sendReport(write, want); err != nil {
			t.Fatal(err)
		}
		write.Close()
		got, ok := (&pipes{report: read}).readReport().(StatusError)
		if !ok || got.Status != want.Status || got.Error() != want.Error() {
			t.Errorf("got %+v, want %+v", got, want)
		}
		if err := (&pipes{report: read}).readReport(); err != nil {
			t.Errorf("end of file, which says that the command runs: %v", err)
		}
		read.Close()
	}
	if _, err := receive(strings.NewReader("")); err == nil {
		t.Error("end of file, which says that the parent is gone, is taken for a container")
	}
}
