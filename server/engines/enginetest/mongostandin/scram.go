package mongostandin

import (
	"crypto/md5"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/xdg-go/scram"
	"github.com/xdg-go/stringprep"
	"go.mongodb.org/mongo-driver/v2/bson"
)

const (
	scramSHA1   = "SCRAM-SHA-1"
	scramSHA256 = "SCRAM-SHA-256"

	// iterations is the least that mongod may be told to use.
	iterations = 5000
	// conversation is the number of a login: there is one at a time.
	conversation = int32(1)
)

// login is a SCRAM conversation under way.
type login struct {
	steps    *scram.ServerConversation
	database string
	short    bool // the client does without the empty exchange at the end
}

// setPassword makes what the server keeps of a password.
func (a *account) setPassword(password string) error {
	a.credentials = map[string]scram.StoredCredentials{}
	if password == "" {
		return nil
	}
	prepared, err := stringprep.SASLprep.Prepare(password)
	if err != nil {
		return badValue("Error preflighting normalization: %s", err)
	}
	// MongoDB's SHA-1 takes not the password, but an older digest of it.
	digest := md5.Sum([]byte(a.name + ":mongo:" + password))
	for mechanism, secret := range map[string]string{scramSHA1: hex.EncodeToString(digest[:]), scramSHA256: prepared} {
		hash := scram.SHA256
		if mechanism == scramSHA1 {
			hash = scram.SHA1
		}
		client, err := hash.NewClientUnprepped(a.name, secret, "")
		if err != nil {
			return fmt.Errorf("preparing %s: %w", mechanism, err)
		}
		stored, err := client.GetStoredCredentialsWithError(scram.KeyFactors{Salt: rand.Text(), Iters: iterations})
		if err != nil {
			return fmt.Errorf("deriving the keys of %s: %w", mechanism, err)
		}
		a.credentials[mechanism] = stored
	}
	return nil
}

// mechanisms lists how a user, given as "database.name", may log in.
func (s *Server) mechanisms(who string) []string {
	database, name, _ := strings.Cut(who, ".")
	user := s.user(principal{name, database})
	if user == nil {
		return nil
	}
	return slices.Sorted(maps.Keys(user.credentials))
}

// saslStart begins a login by password.
func saslStart(c *connection, o *operation) (bson.D, error) {
	mechanism, err := o.text("mechanism")
	if err != nil {
		return nil, err
	}
	hash := map[string]scram.HashGeneratorFcn{scramSHA1: scram.SHA1, scramSHA256: scram.SHA256}[mechanism]
	if hash == nil {
		return nil, unknownMechanism(mechanism)
	}
	server, err := hash.NewServer(func(name string) (scram.StoredCredentials, error) {
		if user := c.server.user(principal{name, o.database}); user != nil && len(user.credentials) > 0 {
			return user.credentials[mechanism], nil
		}
		return scram.StoredCredentials{}, errLogin()
	})
	if err != nil {
		return nil, err
	}
	short := false
	if options, ok := o.fields["options"].DocumentOK(); ok {
		short, _ = options.Lookup("skipEmptyExchange").BooleanOK()
	}
	c.user, c.login = nil, &login{server.NewConversation(), o.database, short}
	return c.step(o)
}

// saslContinue goes on with a login.
func saslContinue(c *connection, o *operation) (bson.D, error) {
	id, ok := o.fields["conversationId"].AsInt64OK()
	if c.login == nil || !ok || id != int64(conversation) {
		return nil, refuse(17, "ProtocolError", "No SASL session state found")
	}
	if c.login.steps.Valid() {
		c.finishLogin()
		return said(true, ""), nil
	}
	return c.step(o)
}

// step takes what the client says and answers it.
func (c *connection) step(o *operation) (bson.D, error) {
	_, payload, ok := o.fields["payload"].BinaryOK()
	if !ok {
		return nil, typeMismatch(o.name, "payload")
	}
	answer, err := c.login.steps.Step(string(payload))
	if err != nil {
		c.login = nil
		return nil, errLogin()
	}
	done := c.login.steps.Valid() && c.login.short
	if done {
		c.finishLogin()
	}
	return said(done, answer), nil
}

// finishLogin makes the client who it has proved to be.
func (c *connection) finishLogin() {
	c.user = c.server.user(principal{c.login.steps.Username(), c.login.database})
	c.login = nil
}

func said(done bool, payload string) bson.D {
	return bson.D{{Key: "conversationId", Value: conversation}, {Key: "done", Value: done},
		{Key: "payload", Value: bson.Binary{Data: []byte(payload)}}}
}
