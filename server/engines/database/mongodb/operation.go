package mongodb

import (
	"context"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/novatech/securevault/server/engines/database/fault"
)

// Session names the connections through which this Database makes users.
func (d *Database) Session() string { return d.session }

// EndSession returns once another Database of that session makes nothing any
// more. MongoDB goes on with what it has read when the client dies; only when that
// has ended can it be told whether a user exists.
func (d *Database) EndSession(ctx context.Context, session string) error {
	if session == d.session {
		return nil
	}
	return d.explain(d.endOperations(ctx, "appName", session), "ending what another server was doing")
}

// finish runs a command in a session of its own, and returns when the server has done
// with it, also if the connection breaks. Unfinished says that this cannot be told: the
// command may still take effect.
func (d *Database) finish(ctx context.Context, database string, command any) (err, unfinished error) {
	if d.client == nil {
		return errNotOpen, nil
	}
	session, err := d.client.StartSession()
	if err != nil {
		return err, nil
	}
	defer session.EndSession(ctx)
	err = d.run(mongo.NewSessionContext(ctx, session), database, command, nil)
	if code, _ := answered(err); err == nil || code != 0 || nothingSent(err) {
		return err, nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoLimit)
	defer cancel()
	return err, d.endOperations(ctx, "lsid.id", session.ID().Lookup("id"))
}

// endOperations kills our own operations that have the value, and waits until
// there are none.
func (d *Database) endOperations(ctx context.Context, field string, value any) error {
	for {
		var listed struct {
			Operations []struct {
				ID bson.RawValue `bson:"opid"` // a number, or a text that names the shard
			} `bson:"inprog"`
		}
		own := bson.D{{Key: "currentOp", Value: 1}, {Key: "$ownOps", Value: true}, {Key: field, Value: value}}
		if err := d.run(ctx, adminDatabase, own, &listed); err != nil || len(listed.Operations) == 0 {
			return err
		}
		for _, operation := range listed.Operations {
			if err := d.run(ctx, adminDatabase, killOp{1, operation.ID}, nil); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return fault.New(fault.Later, "an operation on the server did not end: try again")
		case <-time.After(20 * time.Millisecond):
		}
	}
}
