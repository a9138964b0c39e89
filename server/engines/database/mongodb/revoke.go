package mongodb

import (
	"cmp"
	"context"
	"fmt"

	"github.com/hashicorp/vault/sdk/database/dbplugin/v5"

	"github.com/novatech/securevault/server/engines/database/fault"
)

// DeleteUser ends a user wherever it is, by name or as the holder of a
// certificate for that name, and fails unless it is gone afterwards. A user who
// does not exist is a success. The revocation statement is needed only by an admin
// who may not look into every database: it names the one. Who may needs none, so that
// a broken one keeps nobody alive.
func (d *Database) DeleteUser(ctx context.Context, req dbplugin.DeleteUserRequest) (dbplugin.DeleteUserResponse, error) {
	var none dbplugin.DeleteUserResponse
	database, misread := parsePlace("revocation_statements", req.Statements, req.Username, "")
	users, err := d.lookUp(ctx, req.Username, database)
	if misread != nil && hasCode(err, codeUnauthorized) {
		return none, misread
	}
	if err != nil {
		return none, d.explain(err, fmt.Sprintf("looking for user %q", req.Username))
	}
	for _, target := range users {
		if err := d.end(ctx, target); err != nil {
			return none, err
		}
	}
	if len(users) == 0 {
		return none, d.explain(d.confirm(ctx, req.Username, database), fmt.Sprintf("waiting until every member knows that user %q is gone", req.Username))
	}
	left, err := d.lookUp(ctx, req.Username, database)
	if err == nil && len(left) > 0 {
		err = fault.New(fault.Later, "the server still has user %q in database %q: find out who recreates it", left[0].Name, left[0].Database)
	}
	return none, d.explain(err, fmt.Sprintf("looking whether user %q is gone", req.Username))
}

// lookUp returns the users that are meant by a name.
func (d *Database) lookUp(ctx context.Context, name, database string) ([]user, error) {
	var found struct {
		Users []user `bson:"users"`
	}
	byName := &nameFilter{anyOf{[]string{name, subject(name)}}}
	err := d.run(ctx, adminDatabase, usersInfo{everywhere{true}, byName}, &found)
	if hasCode(err, codeUnauthorized) && database != "" {
		err = d.run(ctx, database, usersInfo{Which: userOf(name, database)}, &found)
	}
	if err != nil {
		return nil, err
	}
	var users []user
	for _, candidate := range found.Users {
		// A common name elsewhere, or a subject that is no certificate's, is somebody else's.
		if (candidate.Database == external) == (candidate.Name == subject(name)) {
			users = append(users, candidate)
		}
	}
	return users, nil
}

// userOf returns who is meant by a name in one database.
func userOf(name, database string) user {
	if database == external {
		return user{subject(name), external}
	}
	return user{name, database}
}

// confirm waits until as many members as the write concern asks for know that there is
// no such user: an earlier drop may not have reached them, and would be lost with the
// primary. A drop that finds nobody waits for all that was written before.
func (d *Database) confirm(ctx context.Context, name, database string) error {
	err := d.drop(ctx, userOf(name, cmp.Or(database, adminDatabase)))
	if hasCode(err, codeUnauthorized) {
		return nil // who may drop nobody there has dropped nobody
	}
	return err
}

// end ends one user. Without the user its connections have no rights any more,
// and what runs for it is killed: before the drop, so that a drop that fails has
// helped already, and after it for what began in between.
func (d *Database) end(ctx context.Context, target user) error {
	for _, step := range []func(context.Context, user) error{d.endSessions, d.drop, d.endSessions} {
		if err := step(ctx, target); err != nil {
			return d.explain(err, fmt.Sprintf("ending user %q of database %q", target.Name, target.Database))
		}
	}
	return nil
}

// endSessions kills what runs for the user. An admin who may not do that, and a
// server that cannot, still take the user's rights away.
func (d *Database) endSessions(ctx context.Context, target user) error {
	err := d.run(ctx, adminDatabase, killAllSessions{[]user{target}}, nil)
	if hasCode(err, codeUnauthorized) || hasCode(err, codeCommandNotFound) {
		return nil
	}
	return err
}

// drop drops the user; one that is gone is fine, once that is confirmed.
func (d *Database) drop(ctx context.Context, target user) error {
	err := d.run(ctx, target.Database, dropUser{target.Name, d.concern}, nil)
	if hasCode(err, codeUserNotFound) {
		return unconfirmed(err)
	}
	return err
}
