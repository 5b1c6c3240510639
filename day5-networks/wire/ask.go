package wire

import "os"

// Ask has the shim at the other end do something, and returns its first reply.
func (c *Conn) Ask(request Request, files ...*os.File) (Reply, error) {
	if err := c.SendJSON(Ask, request, files...); err != nil {
		return Reply{}, err
	}
	return c.ReceiveReply()
}
