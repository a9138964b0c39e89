package redis

import (
	"context"
	"fmt"

	"github.com/hashicorp/vault/sdk/database/dbplugin/v5"

	"github.com/novatech/securevault/server/engines/database/fault"
)

// DeleteUser ends a user on every server, those that are down included: one that
// comes back may have kept it. A user that is gone is a success. Statements are
// not needed: nothing in Redis belongs to a user.
func (d *Database) DeleteUser(ctx context.Context, req dbplugin.DeleteUserRequest) (dbplugin.DeleteUserResponse, error) {
	members, err := d.members(ctx)
	if err != nil {
		return dbplugin.DeleteUserResponse{}, err
	}
	err = d.each(ctx, fmt.Sprintf("removing the user %q", req.Username), members, func(c *connection) error {
		if err := c.remove(req.Username); err != nil {
			return err
		}
		// Also if there was no such user: it may have been removed, but not for good.
		return d.persist(c)
	})
	return dbplugin.DeleteUserResponse{}, err
}

// remove ends the user's sessions, removes it, and looks whether it is gone, all
// in one step of the server, so that nobody logs in between.
func (c *connection) remove(name string) error {
	answers, err := c.together([]any{"CLIENT", "KILL", "USER", name}, []any{"ACL", "DELUSER", name}, []any{"ACL", "GETUSER", name})
	if err != nil {
		return err
	}
	for _, answer := range answers {
		if refusal, ok := answer.(error); ok && !says(refusal, "No such user") { // whose sessions could end
			return refusal
		}
	}
	if len(answers) == 3 && answers[2] == nil {
		return nil
	}
	return fault.New(fault.Later, "the user %q is still there: look for what makes it again", name)
}
