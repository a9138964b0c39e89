package mongostandin

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"net"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// beginsTLS tells a TLS connection from a plain one by its first three bytes: a
// handshake record, and a version from 3.1 on. A message of MongoDB's begins with
// its length, the lowest byte first, and would have to be of 64 KiB or more.
func beginsTLS(first []byte) bool { return first[0] == 0x16 && first[1] == 3 && first[2] != 0 }

// connection is a client from its first byte to its last.
type connection struct {
	server      *Server
	id          int32
	out         net.Conn
	in          *bufio.Reader
	certificate *x509.Certificate // nil: the client has shown none
	application string            // as the client calls itself
	login       *login            // nil: none is under way
	user        *account          // as it was at the login; nil: nobody has logged in
}

// peeked is a connection whose first bytes were looked at.
type peeked struct {
	net.Conn
	reader *bufio.Reader
}

func (p peeked) Read(into []byte) (int, error) { return p.reader.Read(into) }

// serve answers a client until it goes, or sends what cannot be understood.
func (s *Server) serve(conn net.Conn) {
	c := &connection{server: s, id: s.serial.Add(1), out: conn, in: bufio.NewReader(conn)}
	first, err := c.in.Peek(3)
	if err != nil {
		return
	}
	if beginsTLS(first) {
		secured := tls.Server(peeked{conn, c.in}, s.tls)
		if secured.HandshakeContext(s.ctx) != nil {
			return
		}
		if shown := secured.ConnectionState().PeerCertificates; len(shown) > 0 {
			c.certificate = shown[0]
		}
		c.out, c.in = secured, bufio.NewReader(secured)
	}
	for c.next() == nil {
	}
}

// next answers one message.
func (c *connection) next() error {
	message, err := readMessage(c.in)
	if err != nil {
		return err
	}
	req, err := parseRequest(message)
	if err != nil {
		return err
	}
	if patience, waits := req.awaits(); waits {
		return c.stream(req, patience)
	}
	answer := c.answer(req)
	if req.silent {
		return nil
	}
	return c.send(req, c.server.serial.Add(1), req.id, 0, answer)
}

func (c *connection) send(req request, id, responseTo int32, flags uint32, answer bson.D) error {
	message, err := reply(id, responseTo, req.legacy, flags, answer)
	if err != nil {
		return err
	}
	_, err = c.out.Write(message)
	return err
}

// stream answers a hello that waits for news of the server, of which there are
// none: at the end of the client's patience, again and again if it allows that.
func (c *connection) stream(req request, patience time.Duration) error {
	last := req.id
	for {
		select {
		case <-c.server.ctx.Done():
			return c.server.ctx.Err()
		case <-time.After(patience):
		}
		flags := uint32(0)
		if req.exhaust {
			flags = moreToCome
		}
		id := c.server.serial.Add(1)
		if err := c.send(req, id, last, flags, c.answer(req)); err != nil || !req.exhaust {
			return err
		}
		last = id
	}
}
