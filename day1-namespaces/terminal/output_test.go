package terminal

import (
	"os"
	"testing"
	"time"
)

// The container ends while we wait for output, and its last output comes just
// after that wait.
func TestLastOutputAfterAWait(t *testing.T) {
	for try := 1; ; try++ {
		read, write, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		terminal := &Terminal{master: read, leftWait: time.Second}
		waiting, got := make(chan bool), make(chan string)
		go func() {
			close(waiting)
			text := make([]byte, 10)
			n, _ := output{terminal}.Read(text)
			got <- string(text[:n])
		}()
		<-waiting
		time.Sleep(500 * time.Millisecond)
		terminal.ended.Store(true)
		time.Sleep(700 * time.Millisecond)
		write.WriteString("last")
		text := <-got
		write.Close()
		read.Close()
		if text == "last" {
			return
		}
		if try == 5 { // a machine that is held up for a second may lose it
			t.Fatalf("read %q", text)
		}
	}
}
