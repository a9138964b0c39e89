package redis

import (
	"context"
	"crypto/rand"
	"strings"
)

// tagSize is how many random letters tell our connections from all others.
const tagSize = 10

func newSession() string { return "securevault-" + rand.Text()[:tagSize] }

// Session names the connections on which this Database makes users: theirs begin
// with it.
func (d *Database) Session() string { return d.session }

// EndSession returns once another Database of that session can make nothing any
// more. A command that has reached a server is executed, though the one who sent
// it may be dead: at once, as a rule, but a server that is paused or busy with a
// script gets to it later, and a network that comes back delivers it later. A
// connection that is ended takes with it what it has not had executed; what it
// had executed before can be seen, for a server does one thing at a time.
func (d *Database) EndSession(ctx context.Context, session string) error {
	if session == d.session {
		return nil
	}
	members, err := d.members(ctx)
	if err != nil {
		return err
	}
	return d.each(ctx, "ending the connections of another server", members, func(c *connection) error {
		return c.end(func(name string) bool { return strings.HasPrefix(name, session+".") })
	})
}

// end ends the connections of those names.
func (c *connection) end(which func(name string) bool) error {
	list, err := c.text("CLIENT", "LIST")
	if err != nil {
		return err
	}
	for line := range strings.Lines(list) {
		about := map[string]string{}
		for _, field := range strings.Fields(line) {
			name, value, _ := strings.Cut(field, "=")
			about[name] = value
		}
		if !which(about["name"]) {
			continue
		}
		if err := c.tell("CLIENT", "KILL", "ID", about["id"]); err != nil {
			return err
		}
	}
	return nil
}
