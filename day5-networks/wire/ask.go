package wire

import (
	"errors"
	"os"
	"time"
)

// Ask has the shim at the other end do something, and returns its first reply.
func (c *Conn) Ask(request Request, files ...*os.File) (Reply, error) {
	if err := c.SendJSON(Ask, request, files...); err != nil {
		return Reply{}, err
	}
	return c.ReceiveReply()
}

// AskWhile is Ask, but looks every so often whether the other end still hears:
// an error of hears' is returned instead of an answer.
func (c *Conn) AskWhile(hears func() error, often time.Duration, request Request, files ...*os.File) (reply Reply, err error) {
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		reply, err = c.Ask(request, files...)
	}()
	for {
		select {
		case <-answered:
			return reply, err
		case <-time.After(often):
		}
		deaf := hears()
		if deaf == nil {
			continue
		}
		_ = c.SetDeadline(time.Now()) // which ends Ask
		<-answered
		_ = c.SetDeadline(time.Time{})
		if errors.Is(err, os.ErrDeadlineExceeded) {
			err = deaf
		}
		return reply, err
	}
}

// Record has the shim that listens at path write its container's state anew, and
// reports whether to read that again. claim is told which process the shim is:
// until the connection is closed, no other has the same id.
func Record(path string, claim func(pid int) error) (again bool) {
	conn, err := Dial(path)
	if err != nil { // it is just starting or ending, or another command has the lock
		return false
	}
	defer conn.Close()
	var reply Reply
	pid, err := conn.Peer()
	if err = errors.Join(err, claim(pid), conn.SetDeadline(time.Now().Add(time.Second))); err == nil {
		reply, err = conn.Ask(Request{Do: DoRecord})
	}
	return !errors.Is(err, os.ErrDeadlineExceeded) && reply.Error == ""
}
