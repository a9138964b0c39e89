package mongostandin

import (
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// session returns the id of the logical session a command belongs to.
func (r *request) session() (string, bool) {
	lsid, ok := r.fields["lsid"].DocumentOK()
	if !ok {
		return "", false
	}
	return sessionID(lsid)
}

func sessionID(lsid bson.Raw) (string, bool) {
	subtype, id, ok := lsid.Lookup("id").BinaryOK()
	return string(id), ok && subtype == bson.TypeBinaryUUID
}

// killAllSessions ends the sessions of some users, or of all.
func killAllSessions(c *connection, o *operation) (bson.D, error) {
	if !o.user.may(killAnySession, cluster) {
		return nil, o.unauthorized()
	}
	var users []struct {
		User     string `bson:"user"`
		Database string `bson:"db"`
	}
	if err := o.body.Index(0).Value().Unmarshal(&users); err != nil {
		return nil, typeMismatch(o.name, o.name)
	}
	c.server.dropSessions(func(_ string, owner principal) bool {
		for _, user := range users {
			if owner == (principal{user.User, user.Database}) {
				return true
			}
		}
		return len(users) == 0
	})
	return bson.D{}, nil
}

// killSessions ends sessions by their ids: one's own.
func killSessions(c *connection, o *operation) (bson.D, error) {
	var given []bson.Raw
	if err := o.body.Index(0).Value().Unmarshal(&given); err != nil {
		return nil, typeMismatch(o.name, o.name)
	}
	c.server.dropSessions(func(id string, owner principal) bool {
		for _, lsid := range given {
			if wanted, ok := sessionID(lsid); ok && wanted == id && o.user != nil && owner == o.user.principal {
				return true
			}
		}
		return false
	})
	return bson.D{}, nil
}

// endSessions is killSessions for a client that goes.
func endSessions(c *connection, o *operation) (bson.D, error) { return killSessions(c, o) }

// dropSessions forgets the sessions that are meant, and kills what they do.
func (s *Server) dropSessions(meant func(id string, owner principal) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, owner := range s.sessions {
		if !meant(id, owner) {
			continue
		}
		delete(s.sessions, id)
		for _, o := range s.operations {
			if session, ok := o.session(); ok && session == id {
				o.kill()
			}
		}
	}
}

// kill ends an operation before it takes effect. The server's mutex is held.
func (o *operation) kill() {
	if !o.wasKilled() {
		close(o.killed)
	}
}

func (o *operation) wasKilled() bool {
	select {
	case <-o.killed:
		return true
	default:
		return false
	}
}

// interrupted is what a killed operation answers.
func (o *operation) interrupted() error {
	if o.wasKilled() {
		return refuse(11601, "Interrupted", "operation was interrupted")
	}
	return nil
}

// currentOp lists the user's own operations. It knows the filters appName and
// lsid.id.
func currentOp(c *connection, o *operation) (bson.D, error) {
	own, _ := o.fields["$ownOps"].BooleanOK()
	if !own && !o.user.may(inProgress, cluster) {
		return nil, o.unauthorized()
	}
	c.server.mu.Lock()
	defer c.server.mu.Unlock()
	listed := bson.A{}
	for id, other := range c.server.operations {
		if other.user == nil || own && other.user.principal != o.user.principal {
			continue
		}
		entry := bson.D{{Key: "opid", Value: id}, {Key: "appName", Value: other.application}, {Key: "active", Value: true}}
		if lsid, ok := other.fields["lsid"].DocumentOK(); ok {
			entry = append(entry, bson.E{Key: "lsid", Value: lsid})
		}
		matched, err := matches(o.fields, entry)
		if err != nil {
			return nil, err
		}
		if matched {
			listed = append(listed, entry)
		}
	}
	return bson.D{{Key: "inprog", Value: listed}}, nil
}

// matches compares an operation with the filters of currentOp.
func matches(filters map[string]bson.RawValue, entry bson.D) (bool, error) {
	raw, err := bson.Marshal(entry)
	if err != nil {
		return false, err
	}
	for field, want := range filters {
		var path []string
		switch {
		case generic(field) || field == "$ownOps":
			continue
		case field == "appName":
			path = []string{"appName"}
		case field == "lsid.id":
			path = []string{"lsid", "id"}
		default:
			return false, badValue("this stand-in cannot look for %q", field)
		}
		if !bson.Raw(raw).Lookup(path...).Equal(want) {
			return false, nil
		}
	}
	return true, nil
}

// killOp kills an operation of one's own. One that is gone is no error.
func killOp(c *connection, o *operation) (bson.D, error) {
	id, ok := o.fields["op"].AsInt64OK()
	if !ok {
		return nil, missing(o.name, "op")
	}
	c.server.mu.Lock()
	defer c.server.mu.Unlock()
	if other := c.server.operations[int32(id)]; other != nil {
		if other.user == nil || other.user.principal != o.user.principal {
			return nil, o.unauthorized()
		}
		other.kill()
	}
	return bson.D{{Key: "info", Value: "attempting to kill op"}}, nil
}

// awaits tells how long a hello wants to wait for news.
func (r *request) awaits() (time.Duration, bool) {
	milliseconds, ok := r.fields["maxAwaitTimeMS"].AsInt64OK()
	_, versioned := r.fields["topologyVersion"]
	return time.Duration(milliseconds) * time.Millisecond, ok && versioned && (r.name == "hello" || r.name == "isMaster")
}
