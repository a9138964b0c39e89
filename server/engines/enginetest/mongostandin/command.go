package mongostandin

import (
	"errors"
	"maps"
	"slices"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// command is one that the server knows.
type command struct {
	fields []string // that it knows beside those that all know
	lax    bool     // takes fields it does not know
	open   bool     // is answered before a login
	writes bool     // takes writeConcern
	kept   bool     // is kept for Server.Received
	run    func(*connection, *operation) (bson.D, error)
}

// commands lists what the server knows, by name.
func commands() map[string]command {
	greeting := command{open: true, lax: true, run: hello}
	return map[string]command{
		"hello": greeting, "isMaster": greeting, "ismaster": greeting,
		"saslStart":        {open: true, fields: []string{"mechanism", "payload", "options", "autoAuthorize", "db"}, run: saslStart},
		"saslContinue":     {open: true, fields: []string{"conversationId", "payload"}, run: saslContinue},
		"authenticate":     {open: true, fields: []string{"mechanism", "user"}, run: authenticate},
		"ping":             {open: true, run: ping},
		"connectionStatus": {open: true, fields: []string{"showPrivileges"}, run: connectionStatus},
		"createUser":       {writes: true, kept: true, fields: []string{"pwd", "customData", "roles", "digestPassword", "mechanisms", "authenticationRestrictions"}, run: createUser},
		"updateUser":       {writes: true, kept: true, fields: []string{"pwd", "customData", "roles", "digestPassword", "mechanisms", "authenticationRestrictions"}, run: updateUser},
		"dropUser":         {writes: true, kept: true, run: dropUser},
		"usersInfo":        {fields: []string{"showCredentials", "showCustomData", "showPrivileges", "showAuthenticationRestrictions", "filter"}, run: usersInfo},
		"killAllSessions":  {kept: true, run: killAllSessions},
		"killSessions":     {kept: true, run: killSessions},
		"endSessions":      {open: true, run: endSessions},
		"currentOp":        {lax: true, run: currentOp},
		"killOp":           {kept: true, fields: []string{"op"}, run: killOp},
		"insert":           {writes: true, fields: []string{"documents", "ordered", "bypassDocumentValidation"}, run: insert},
		"find":             {fields: []string{"filter", "limit", "batchSize", "singleBatch"}, run: find},
		"count":            {fields: []string{"query", "limit"}, run: count},
	}
}

// generic are the fields that every command knows.
func generic(field string) bool {
	return slices.Contains([]string{"$db", "lsid", "$clusterTime", "$readPreference", "readConcern", "maxTimeMS", "comment"}, field)
}

// operation is a command that is being carried out.
type operation struct {
	request
	serial      int32
	application string // of the client
	client      *connection
	user        *account      // whose rights it has; nil: nobody's
	killed      chan struct{} // closed by killOp
}

// answer carries out a command.
func (c *connection) answer(req request) bson.D {
	o := &operation{request: req, serial: c.server.serial.Add(1), client: c, killed: make(chan struct{}), application: c.application}
	answer, err := c.carryOut(o)
	var refused *refusal
	switch {
	case errors.As(err, &refused):
		answer = refused.answer()
	case err != nil:
		answer = refuse(1, "InternalError", "%s", err).answer()
	default:
		answer = append(answer, bson.E{Key: "ok", Value: 1.0})
	}
	// mongod waits also after a write that has failed or changed nothing.
	if c.server.faults.unconfirmed(req.name) {
		answer = append(answer, bson.E{Key: "writeConcernError", Value: bson.D{
			{Key: "code", Value: int32(64)}, {Key: "codeName", Value: "WriteConcernFailed"}, {Key: "errmsg", Value: "waiting for replication timed out"},
		}})
	}
	return answer
}

func (c *connection) carryOut(o *operation) (bson.D, error) {
	known, ok := c.server.commands[o.name]
	if !ok {
		return nil, refuse(59, "CommandNotFound", "no such command: '%s'", o.name)
	}
	if o.legacy && !known.lax {
		return nil, refuse(352, "UnsupportedOpQueryCommand", "Unsupported OP_QUERY command: %s. The client driver may require an upgrade.", o.name)
	}
	if err := known.check(o.request); err != nil {
		return nil, err
	}
	c.server.begin(o, known.kept)
	defer c.server.finish(o)
	if o.user == nil && !known.open {
		return nil, refuse(13, "Unauthorized", "Command %s requires authentication", o.name)
	}
	defer c.server.faults.wait(c.server.ctx, o)()
	if err := o.interrupted(); err != nil {
		return nil, err
	}
	return known.run(c, o)
}

// check refuses fields that the command does not know.
func (k command) check(req request) error {
	if concern, given := req.fields["writeConcern"]; given {
		if !k.writes {
			return refuse(72, "InvalidOptions", "Command does not support writeConcern")
		}
		if err := checkWriteConcern(concern); err != nil {
			return err
		}
	}
	if k.lax {
		return nil
	}
	for _, field := range slices.Sorted(maps.Keys(req.fields)) {
		if !generic(field) && field != "writeConcern" && !slices.Contains(k.fields, field) {
			return unknownField(req.name, field)
		}
	}
	for field := range req.sequence {
		if _, twice := req.fields[field]; twice || !slices.Contains(k.fields, field) {
			return unknownField(req.name, field)
		}
	}
	return nil
}

// checkWriteConcern refuses what a standalone mongod cannot promise.
func checkWriteConcern(given bson.RawValue) error {
	document, ok := given.DocumentOK()
	if !ok {
		return typeMismatch("writeConcern", "writeConcern")
	}
	elements, err := document.Elements()
	if err != nil {
		return refuse(22, "InvalidBSON", "%s", err)
	}
	for _, element := range elements {
		value := element.Value()
		switch element.Key() {
		case "w":
			if number, ok := value.AsInt64OK(); ok && number > 1 {
				return badValue("cannot use 'w' > 1 when a host is not replicated")
			}
			if mode, ok := value.StringValueOK(); ok && mode != "majority" {
				return badValue("cannot use non-majority 'w' mode %q when a host is not a member of a replica set", mode)
			}
		case "j", "fsync", "wtimeout":
		default:
			return unknownField("writeConcern", element.Key())
		}
	}
	return nil
}

// begin makes the operation known to the others. Whose rights it has is decided
// now: a user who is no longer who logged in has none.
func (s *Server) begin(o *operation, kept bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if user := o.client.user; user != nil && s.users[user.principal] != nil && s.users[user.principal].id == user.id {
		o.user = s.users[user.principal]
	}
	s.operations[o.serial] = o
	if session, ok := o.session(); ok && o.user != nil {
		s.sessions[session] = o.user.principal
	}
	if kept {
		s.received[o.name] = append(s.received[o.name], o.body)
	}
}

func (s *Server) finish(o *operation) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.operations, o.serial)
}

// text returns the value of a string field; missing is an empty text.
func (o *operation) text(field string) (string, error) {
	value, given := o.fields[field]
	if !given {
		return "", nil
	}
	text, ok := value.StringValueOK()
	if !ok {
		return "", typeMismatch(o.name, field)
	}
	return text, nil
}

// subject returns the value of the field that is the command's name, a string.
func (o *operation) subject() (string, error) {
	text, ok := o.body.Index(0).Value().StringValueOK()
	if !ok {
		return "", typeMismatch(o.name, o.name)
	}
	return text, nil
}

func ping(*connection, *operation) (bson.D, error) { return bson.D{}, nil }

func connectionStatus(_ *connection, o *operation) (bson.D, error) {
	users, roles := bson.A{}, bson.A{}
	if o.user != nil {
		users = append(users, bson.D{{Key: "user", Value: o.user.name}, {Key: "db", Value: o.user.database}})
		roles = documentsOf(o.user.roles)
	}
	return bson.D{{Key: "authInfo", Value: bson.D{{Key: "authenticatedUsers", Value: users}, {Key: "authenticatedUserRoles", Value: roles}}}}, nil
}
