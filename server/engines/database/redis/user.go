package redis

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/hashicorp/vault/sdk/database/dbplugin/v5"

	"github.com/novatech/securevault/server/engines/database/fault"
	"github.com/novatech/securevault/server/engines/database/username"
)

// undoLimit bounds the clean-up after a step that failed on one of the servers. It
// does not use the request's context, which may be over.
const undoLimit = 10 * time.Second

// NewUser creates a user with the creation statements on every server, or on none.
// Rollback statements are not needed.
func (d *Database) NewUser(ctx context.Context, req dbplugin.NewUserRequest) (dbplugin.NewUserResponse, error) {
	return username.NewUser(ctx, d, req)
}

// NewNamedUser is NewUser for a user of that name. It warns of servers that are
// down, and so were not told of the user.
func (d *Database) NewNamedUser(ctx context.Context, name string, req dbplugin.NewUserRequest) (warnings []string, err error) {
	if req.CredentialType != dbplugin.CredentialTypePassword {
		return nil, fault.New(fault.Refused, "credential_type %q is unknown to Redis: use password", req.CredentialType)
	}
	rules, err := rulesOf(req.Statements.Commands, name)
	if err != nil {
		return nil, err
	}
	up, down, err := d.upMembers(ctx)
	if err != nil {
		return nil, err
	}
	for _, member := range down {
		warnings = append(warnings, "Redis at "+member.address+" is down, it will not know this user")
	}
	return warnings, d.create(ctx, up, name, setUser(name, req.Password, rules))
}

// setUser is the one command that makes a user what it is to be. Channels are
// closed first: servers before 7.0 open them by default.
func setUser(name, password string, rules []string) []any {
	command := []any{"ACL", "SETUSER", name, "reset", "resetchannels", "on", "#" + hash(password)}
	for _, rule := range rules {
		command = append(command, rule)
	}
	return command
}

// create runs the command on every node, none of which may know the user.
//
// Redis has no command that makes a user and fails if there is one, and
// transactions do not watch users. So a user that somebody else makes between the
// look and the command is overwritten. Its name would have to be the one that was
// made up a moment ago, with 20 random letters unless an operator has taken them
// out of username_template.
func (d *Database) create(ctx context.Context, nodes []node, name string, command []any) error {
	err := d.each(ctx, fmt.Sprintf("looking for the user %q", name), nodes, func(c *connection) error {
		described, err := c.ask("ACL", "GETUSER", name)
		if err == nil && described != nil {
			return fault.New(fault.Refused, "there is one already: add {{random 12}} to username_template")
		}
		return err
	})
	if err != nil {
		return err
	}
	told := make(chan *connection, len(nodes)) // those whose server may have made it
	err = d.each(ctx, fmt.Sprintf("making the user %q", name), nodes, func(c *connection) error {
		if err := c.tell("CLIENT", "SETNAME", c.name); err != nil {
			return err
		}
		err := c.tell(command...)
		if err == nil || !isAnswer(err) {
			told <- c
		}
		if err != nil {
			return err
		}
		return d.persist(c)
	})
	close(told)
	if err == nil || len(told) == 0 {
		return err
	}
	if undoErr := d.undo(ctx, name, told); undoErr != nil {
		return fault.New(fault.Left, "%s; then removing the half-made user %q failed as well: remove it by hand: %s", err, name, undoErr)
	}
	return err
}

// undo removes a user where it may have been made. The connections on which it was
// asked for end first: the server may be about to make it.
func (d *Database) undo(ctx context.Context, name string, told <-chan *connection) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoLimit)
	defer cancel()
	var nodes []node
	var names []string
	for c := range told {
		nodes, names = append(nodes, c.node), append(names, c.name)
	}
	return d.each(ctx, "cleaning up", nodes, func(c *connection) error {
		if err := c.end(func(name string) bool { return slices.Contains(names, name) }); err != nil {
			return err
		}
		if err := c.remove(name); err != nil {
			return err
		}
		if err := d.persist(c); !isAnswer(err) {
			return err
		}
		return nil // a server that cannot keep users has not kept this one
	})
}

// persist makes a server remember its users when it starts again, if the config
// wants that.
func (d *Database) persist(c *connection) error {
	switch d.settings.Persistence {
	case persistRewrite:
		return c.tell("CONFIG", "REWRITE")
	case persistACLFile:
		return c.tell("ACL", "SAVE")
	}
	return nil
}
