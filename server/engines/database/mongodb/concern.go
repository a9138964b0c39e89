package mongodb

import (
	"encoding/base64"
	"encoding/json"
	"strings"

	"go.mongodb.org/mongo-driver/v2/mongo/writeconcern"

	"github.com/novatech/securevault/server/engines/database/fault"
)

// writeConcern says which members of a deployment must have a change before it
// counts as made.
type writeConcern struct {
	Members any   `bson:"w,omitempty"` // a number, "majority" or the name of a mode; nil: the server's default
	Journal bool  `bson:"j,omitempty"`
	Timeout int64 `bson:"wtimeout,omitempty"` // in milliseconds; 0: as long as the request
}

const concernHint = `write JSON such as {"wmode": "majority", "wtimeout": 5000}`

// parseWriteConcern reads write_concern: JSON, or JSON in base64. Nothing gives
// nil.
func parseWriteConcern(text string) (*writeConcern, error) {
	text = strings.TrimSpace(text)
	if text == "" {
		return nil, nil
	}
	if decoded, err := base64.StdEncoding.DecodeString(text); err == nil {
		text = string(decoded)
	}
	fields, err := object("write_concern", []byte(text), "w", "wmode", "wtimeout", "j", "fsync")
	if err != nil {
		return nil, err
	}
	var given struct {
		Number  any    `json:"w"`
		Mode    string `json:"wmode"`
		Timeout int64  `json:"wtimeout"`
		Journal bool   `json:"j"`
		Sync    bool   `json:"fsync"`
	}
	again, err := json.Marshal(fields)
	if err == nil {
		err = json.Unmarshal(again, &given)
	}
	if err != nil || given.Timeout < 0 {
		return nil, fault.New(fault.Refused, "write_concern has a field of the wrong type: %s", concernHint)
	}
	concern := &writeConcern{Journal: given.Journal || given.Sync, Timeout: given.Timeout}
	switch number := given.Number.(type) {
	case nil:
	case string:
		concern.Members = number
	case float64:
		concern.Members = int32(number)
	default:
		return nil, fault.New(fault.Refused, "write_concern has a field of the wrong type: %s", concernHint)
	}
	if given.Mode != "" {
		concern.Members = given.Mode
	}
	if number, ok := concern.Members.(int32); ok && number < 1 {
		return nil, fault.New(fault.Refused, "write_concern asks for no confirmation, nobody would know whether a user exists: write w=1 or more, or a wmode")
	}
	return concern, nil
}

// concernOf returns what connection_url says by w and journal, nil for nothing.
func concernOf(given *writeconcern.WriteConcern) *writeConcern {
	if given == nil || !given.Acknowledged() {
		return nil
	}
	return &writeConcern{Members: given.W, Journal: given.Journal != nil && *given.Journal}
}
