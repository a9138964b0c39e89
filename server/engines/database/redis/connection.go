package redis

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"net"
	"strings"
	"sync"

	"github.com/gomodule/redigo/redis"
)

// account is who logs in. No username is the default user's.
type account struct{ username, password string }

func (s settings) admin() account    { return account{s.Username, s.Password} }
func (s settings) sentinel() account { return account{s.SentinelUsername, s.SentinelPassword} }

// connection is a connection to one server, for one step of an operation.
type connection struct {
	link redis.Conn
	node
	name string // by which the server lists it, and no other, once it makes users
}

// each takes a step on all the nodes at the same time, on a connection of its own
// each. It returns the error of the first that failed, explained, when all are
// done; what names the step in it.
func (d *Database) each(ctx context.Context, what string, nodes []node, step func(*connection) error) error {
	errs := make([]error, len(nodes))
	var group sync.WaitGroup
	for i, to := range nodes {
		group.Go(func() {
			err := d.with(ctx, to, d.settings.admin(), step)
			errs[i] = d.explain(err, what+" on "+to.address)
		})
	}
	group.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// with connects, logs in, takes the step and disconnects. When ctx ends, so does
// the connection.
func (d *Database) with(ctx context.Context, to node, as account, step func(*connection) error) error {
	raw, err := d.dial(ctx, to.address)
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { _ = raw.Close() })()
	defer func() { _ = raw.Close() }()
	c := &connection{redis.NewConn(raw, answerLimit, answerLimit), to, d.session + "." + rand.Text()[:tagSize]}
	if err = c.login(as); err == nil {
		err = step(c)
	}
	if ctx.Err() != nil && err != nil && !isAnswer(err) {
		return context.Cause(ctx) // which has closed the connection
	}
	return err
}

// login says who we are, if that needs a password.
func (c *connection) login(as account) error {
	switch {
	case as.password == "":
		return nil
	case as.username == "":
		return c.tell("AUTH", as.password)
	}
	return c.tell("AUTH", as.username, as.password)
}
func (d *Database) dial(ctx context.Context, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialLimit)
	defer cancel()
	var plain net.Dialer
	conn, err := plain.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	// When it is closed, or we are killed, the kernel forgets what it has not
	// delivered yet, instead of trying for minutes: a command that we have given up
	// must not arrive when its user has long been revoked.
	_ = conn.(*net.TCPConn).SetLinger(0)
	if d.settings.encryption == nil {
		return conn, nil
	}
	config := d.settings.encryption.Clone()
	config.ServerName, _, _ = net.SplitHostPort(address) // every address has a port
	encrypted := tls.Client(conn, config)
	if err := encrypted.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return encrypted, nil
}

// ask runs a command. Texts in its answer are strings, and what is not there is nil.
func (c *connection) ask(command ...any) (any, error) {
	answer, err := c.link.Do(command[0].(string), command[1:]...)
	return readable(answer), err
}

// text is ask for an answer that is one text.
func (c *connection) text(command ...any) (string, error) { return redis.String(c.ask(command...)) }

// tell runs a command whose answer does not matter.
func (c *connection) tell(command ...any) error {
	_, err := c.ask(command...)
	return err
}

// together runs commands in one step of the server and returns their answers, of
// which some may be errors.
func (c *connection) together(commands ...[]any) ([]any, error) {
	if err := c.link.Send("MULTI"); err != nil {
		return nil, err
	}
	for _, command := range commands {
		if err := c.link.Send(command[0].(string), command[1:]...); err != nil {
			return nil, err
		}
	}
	answers, err := redis.Values(c.ask("EXEC"))
	return answers, err
}

// readable makes strings of the bytes in an answer.
func readable(answer any) any {
	switch answer := answer.(type) {
	case []byte:
		return string(answer)
	case []any:
		for i, element := range answer {
			answer[i] = readable(element)
		}
	}
	return answer
}

// isAnswer tells whether the server has refused what it was told. Otherwise we do
// not know whether it has done it.
func isAnswer(err error) bool {
	_, ok := errors.AsType[redis.Error](err)
	return ok
}

// says tells whether an error is an answer that begins with that, behind a leading
// "ERR ".
func says(err error, begins string) bool {
	refusal, ok := errors.AsType[redis.Error](err)
	return ok && strings.HasPrefix(strings.TrimPrefix(string(refusal), "ERR "), begins)
}
