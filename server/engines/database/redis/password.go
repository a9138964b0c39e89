package redis

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/vault/sdk/database/dbplugin/v5"

	"github.com/novatech/securevault/server/engines/database/fault"
)

// defaultUser is who logs in without a username.
const defaultUser = "default"

// hash is what Redis keeps of a password.
func hash(password string) string {
	sum := sha256.Sum256([]byte(password))
	return hex.EncodeToString(sum[:])
}

// UpdateUser sets a user's password on every server; what it may do stays. Redis
// users do not expire, so there is nothing to do about an expiration.
func (d *Database) UpdateUser(ctx context.Context, req dbplugin.UpdateUserRequest) (dbplugin.UpdateUserResponse, error) {
	var none dbplugin.UpdateUserResponse
	if req.Password == nil {
		return none, nil
	}
	if len(req.Password.Statements.Commands) > 0 {
		return none, fault.New(fault.Refused, "Redis knows one way to change a password: leave the rotation statements out")
	}
	if s := d.settings; req.Username == defaultUser && s.Username == "" && s.Password != "" {
		return none, fault.New(fault.Refused, "the config logs in as %q, and would be locked out: write username=%s to it, and rotate that password with rotate-root", defaultUser, defaultUser)
	}
	members, err := d.members(ctx)
	if err != nil {
		return none, err
	}
	return none, d.changePassword(ctx, members, req.Username, hash(req.Password.NewPassword))
}

// changePassword makes the password with that hash the user's only one. Where
// there are several servers, both the old and the new one are good on all of them
// before the old one ends on any: whatever fails, one of them is good everywhere.
// A server that is down counts: it would come back with the old one.
//
// The class of an error is fault.Refused or fault.NoUser only if the old password
// is good everywhere, and nobody was given the new one.
func (d *Database) changePassword(ctx context.Context, nodes []node, name, hashed string) error {
	added := make(chan *connection, len(nodes))
	err := d.each(ctx, fmt.Sprintf("adding a password to the user %q", name), nodes, func(c *connection) error {
		had, err := c.knows(name, hashed)
		if err != nil {
			return err
		}
		if !had && len(nodes) > 1 {
			added <- c
			if err := c.tell("ACL", "SETUSER", name, "#"+hashed); err != nil {
				return err
			}
		}
		return d.persist(c) // also to see that it can be done
	})
	close(added)
	if err != nil {
		d.withdraw(ctx, added, name, hashed)
		return err
	}
	return d.each(ctx, fmt.Sprintf("changing the password of the user %q", name), nodes, func(c *connection) error {
		err := c.tell("ACL", "SETUSER", name, "resetpass", "#"+hashed)
		if err != nil && len(nodes) == 1 {
			return err
		}
		if err == nil {
			err = d.persist(c)
		}
		if err != nil {
			return fault.New(fault.Later, "%s", d.explain(err, "ending the old password"))
		}
		return nil
	})
}

// knows tells whether the password is one of the user's. Redis would make a user
// that it does not know, though one that may not even log in: hence the class.
func (c *connection) knows(name, hashed string) (bool, error) {
	described, err := c.ask("ACL", "GETUSER", name)
	if err != nil {
		return false, err
	}
	if described == nil {
		return false, fault.New(fault.NoUser, "the user %q no longer exists on the server: request new credentials, or make it", name)
	}
	passwords, _ := fieldsOf(described)["passwords"].([]any)
	return slices.ContainsFunc(passwords, func(kept any) bool { return strings.EqualFold(fmt.Sprint(kept), hashed) }), nil
}

// withdraw takes back a password that was added to some servers only. What it
// cannot reach keeps a password that was never given to anybody.
func (d *Database) withdraw(ctx context.Context, added <-chan *connection, name, hashed string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoLimit)
	defer cancel()
	var nodes []node
	for c := range added {
		nodes = append(nodes, c.node)
	}
	_ = d.each(ctx, "taking back a password", nodes, func(c *connection) error {
		if err := c.tell("ACL", "SETUSER", name, "!"+hashed); err != nil {
			return err
		}
		return d.persist(c)
	})
}
