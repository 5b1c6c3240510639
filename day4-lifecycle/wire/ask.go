package wire

import (
	"encoding/json"
	"fmt"
	"os"
)

// Ask has the shim at the other end do something, and returns its first reply.
func (c *Conn) Ask(request Request, files ...*os.File) (Reply, error) {
	if err := c.SendJSON(Ask, request, files...); err != nil {
		return Reply{}, err
	}
	return c.Reply()
}

// Reply returns the next reply.
func (c *Conn) Reply() (reply Reply, err error) {
	kind, text, files, err := c.ReceiveFiles()
	if len(files) > 0 {
		reply.File = files[0] // a shim sends no more
	}
	switch {
	case err != nil:
	case kind != Answer:
		err = fmt.Errorf("the shim answers with a message of kind %q", kind)
	default:
		err = json.Unmarshal(text, &reply)
	}
	return reply, err
}
