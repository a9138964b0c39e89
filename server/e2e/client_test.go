package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"
)

// requestTimeout bounds one request of a client.
const requestTimeout = 60 * time.Second

// client is one connection that sends one request at a time. It does little
// more than copy bytes, for it shares the processors with the server.
type client struct {
	conn    net.Conn
	reader  *bufio.Reader
	token   string
	request []byte
	answer  []byte
}

func dial(address, token string) (*client, error) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	return &client{conn: conn, reader: bufio.NewReaderSize(conn, 16<<10), token: token}, nil
}

func (c *client) close() { _ = c.conn.Close() }

// send makes a request and returns the answer, which is good until the next
// one. A status other than 2xx is a *refusal.
func (c *client) send(method, path, body string) ([]byte, error) {
	c.request = append(c.request[:0], method...)
	c.request = append(c.request, " /v1/"...)
	c.request = append(c.request, path...)
	c.request = append(c.request, " HTTP/1.1\r\nHost: server\r\nX-Vault-Token: "...)
	c.request = append(c.request, c.token...)
	c.request = append(c.request, "\r\nContent-Length: "...)
	c.request = strconv.AppendInt(c.request, int64(len(body)), 10)
	c.request = append(c.request, "\r\n\r\n"...)
	c.request = append(c.request, body...)
	if err := c.conn.SetDeadline(time.Now().Add(requestTimeout)); err != nil {
		return nil, err
	}
	if _, err := c.conn.Write(c.request); err != nil {
		return nil, err
	}
	return c.read()
}

// refusal is an answer that is no success.
type refusal struct {
	status int
	text   string
}

func (r *refusal) Error() string { return fmt.Sprintf("status %d: %s", r.status, r.text) }

func (c *client) read() ([]byte, error) {
	line, err := c.reader.ReadSlice('\n')
	if err != nil {
		return nil, err
	}
	if len(line) < len("HTTP/1.1 200") {
		return nil, errors.New("the answer has no status")
	}
	status, err := strconv.Atoi(string(line[9:12]))
	if err != nil {
		return nil, err
	}
	length := 0
	for {
		if line, err = c.reader.ReadSlice('\n'); err != nil {
			return nil, err
		}
		if len(line) <= len("\r\n") {
			break
		}
		if value, ok := bytes.CutPrefix(line, []byte("Content-Length: ")); ok {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
				return nil, err
			}
		}
	}
	if cap(c.answer) < length {
		c.answer = make([]byte, length)
	}
	c.answer = c.answer[:length]
	if _, err := io.ReadFull(c.reader, c.answer); err != nil {
		return nil, err
	}
	if status/100 != 2 {
		return nil, &refusal{status, string(c.answer)}
	}
	return c.answer, nil
}

// call is send with both bodies decoded.
func call[Answer any](c *client, method, path string, body any) (answer Answer, err error) {
	var encoded []byte
	if body != nil {
		if encoded, err = json.Marshal(body); err != nil {
			return answer, err
		}
	}
	got, err := c.send(method, path, string(encoded))
	if err != nil {
		return answer, fmt.Errorf("%s %s: %w", method, path, err)
	}
	if len(got) > 0 {
		err = json.Unmarshal(got, &answer)
	}
	return answer, err
}

// field returns the text of a member of a JSON object whose name occurs once.
func field(answer []byte, name string) string {
	_, rest, _ := bytes.Cut(answer, []byte(`"`+name+`":"`))
	value, _, _ := bytes.Cut(rest, []byte(`"`))
	return string(value)
}
