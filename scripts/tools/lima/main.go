// Lima checks files for `limactl start` with Lima's own code, as `limactl validate`
// would, which no distribution packages. It is a module of its own because it needs a
// hundred others, and a reader's machine needs none of them.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/lima-vm/lima/pkg/limatmpl"
	"github.com/lima-vm/lima/pkg/limayaml"
	"github.com/lima-vm/lima/pkg/version"
	"github.com/sirupsen/logrus"
)

func main() {
	// The linker sets it for a release; minimumLimaVersion is compared with it.
	version.Version = "1.2.2"
	// A field that Lima does not know is a warning to it: here it is a fault.
	warned := new(warnings)
	logrus.AddHook(warned)

	for _, file := range os.Args[1:] {
		if err := check(file); err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", file, err)
			os.Exit(1)
		}
	}
	if warned.n > 0 {
		os.Exit(1)
	}
}

// check follows `limactl validate`: merge what base names, fill in what is not
// said, and look at the result.
func check(file string) error {
	template, err := limatmpl.Read(context.Background(), "", file)
	if err != nil {
		return err
	}
	if err := template.Embed(context.Background(), true, false); err != nil {
		return fmt.Errorf("merge its base: %w", err)
	}
	lima, err := limayaml.Load(template.Bytes, file)
	if err != nil {
		return err
	}
	return limayaml.Validate(lima, true)
}

// warnings counts messages to logrus above the level of information.
type warnings struct{ n int }

func (w *warnings) Levels() []logrus.Level {
	return []logrus.Level{logrus.WarnLevel, logrus.ErrorLevel}
}

func (w *warnings) Fire(*logrus.Entry) error { w.n++; return nil }
