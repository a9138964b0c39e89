package mongostandin

import (
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// hello tells a client what the server is. The client may log in with the same
// message; if that fails, the answer says nothing of it, and the client tries
// again in the open.
func hello(c *connection, o *operation) (bson.D, error) {
	if name, err := o.body.LookupErr("client", "application", "name"); err == nil {
		c.application, _ = name.StringValueOK()
	}
	primary := "isWritablePrimary"
	if o.name != "hello" {
		primary = "ismaster"
	}
	answer := bson.D{
		{Key: "helloOk", Value: true}, {Key: primary, Value: true},
		{Key: "topologyVersion", Value: bson.D{{Key: "processId", Value: c.server.process}, {Key: "counter", Value: int64(0)}}},
		{Key: "maxBsonObjectSize", Value: int32(16 << 20)}, {Key: "maxMessageSizeBytes", Value: int32(maxMessage)},
		{Key: "maxWriteBatchSize", Value: int32(100_000)}, {Key: "localTime", Value: time.Now()},
		{Key: "logicalSessionTimeoutMinutes", Value: int32(30)}, {Key: "connectionId", Value: c.id},
		{Key: "minWireVersion", Value: int32(0)}, {Key: "maxWireVersion", Value: int32(21)}, {Key: "readOnly", Value: false},
	}
	if who, ok := o.fields["saslSupportedMechs"].StringValueOK(); ok {
		if mechanisms := c.server.mechanisms(who); mechanisms != nil {
			answer = append(answer, bson.E{Key: "saslSupportedMechs", Value: mechanisms})
		}
	}
	if attempt, ok := o.fields["speculativeAuthenticate"].DocumentOK(); ok {
		if result := c.speculate(attempt); result != nil {
			answer = append(answer, bson.E{Key: "speculativeAuthenticate", Value: result})
		}
	}
	return answer, nil
}

// speculate carries out a login that came with hello. It returns nil if that
// failed.
func (c *connection) speculate(attempt bson.Raw) bson.D {
	database := external
	if given, ok := attempt.Lookup("db").StringValueOK(); ok {
		database = given
	}
	o := &operation{request: request{body: attempt, database: database}, client: c}
	if o.parseFields() != nil {
		return nil
	}
	run := map[string]func(*connection, *operation) (bson.D, error){"saslStart": saslStart, "authenticate": authenticate}[o.name]
	if run == nil || c.server.commands[o.name].check(o.request) != nil {
		return nil
	}
	result, err := run(c, o)
	if err != nil {
		return nil
	}
	return result
}

// authenticate logs in who has shown a certificate, by its subject.
func authenticate(c *connection, o *operation) (bson.D, error) {
	mechanism, err := o.text("mechanism")
	if err != nil {
		return nil, err
	}
	if mechanism != "MONGODB-X509" {
		return nil, unknownMechanism(mechanism)
	}
	if o.database != external {
		return nil, refuse(17, "ProtocolError", "X.509 authentication must always use the $external database.")
	}
	claimed, err := o.text("user")
	if err != nil {
		return nil, err
	}
	if c.certificate == nil {
		return nil, errLogin()
	}
	// mongod writes a subject by RFC 2253, as pkix does.
	subject := c.certificate.Subject.String()
	user := c.server.user(principal{subject, external})
	if user == nil || claimed != "" && claimed != subject {
		return nil, errLogin()
	}
	c.user = user
	return bson.D{{Key: "dbname", Value: external}, {Key: "user", Value: subject}}, nil
}

func unknownMechanism(name string) error {
	return refuse(334, "MechanismUnavailable", "Received authentication for mechanism %s which is unknown or not enabled", name)
}

// user returns nil if there is none.
func (s *Server) user(who principal) *account {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.users[who]
}
