package mongodb

import "go.mongodb.org/mongo-driver/v2/bson"

// The databases with a meaning of their own.
const (
	adminDatabase = "admin"
	external      = "$external" // of users with certificates
)

// Commands as the server reads them: the first field is the command's name.
type (
	ping struct {
		Ping int `bson:"ping"`
	}
	createUser struct {
		Name     string        `bson:"createUser"`
		Password string        `bson:"pwd,omitempty"`
		Roles    []role        `bson:"roles"`
		Concern  *writeConcern `bson:"writeConcern,omitempty"`
	}
	updateUser struct {
		Name     string        `bson:"updateUser"`
		Password string        `bson:"pwd"`
		Concern  *writeConcern `bson:"writeConcern,omitempty"`
	}
	dropUser struct {
		Name    string        `bson:"dropUser"`
		Concern *writeConcern `bson:"writeConcern,omitempty"`
	}
	killAllSessions struct {
		Users []user `bson:"killAllSessions"`
	}
	killOp struct {
		Kill      int           `bson:"killOp"`
		Operation bson.RawValue `bson:"op"`
	}
)

// usersInfo asks for the users of some names in all databases, or for one user.
type (
	usersInfo struct {
		Which  any         `bson:"usersInfo"`
		Filter *nameFilter `bson:"filter,omitempty"`
	}
	everywhere struct {
		All bool `bson:"forAllDBs"`
	}
	nameFilter struct {
		Name anyOf `bson:"user"`
	}
	anyOf struct {
		Names []string `bson:"$in"`
	}
)

// role is what a user may do in a database.
type role struct {
	Name     string `bson:"role"`
	Database string `bson:"db"`
}

// user is one that the server knows: names are unique within a database.
type user struct {
	Name     string `bson:"user"`
	Database string `bson:"db"`
}
