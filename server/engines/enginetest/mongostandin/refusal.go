package mongostandin

import (
	"fmt"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// refusal is an error with one of mongod's codes.
type refusal struct {
	code int32
	name string
	text string
}

func (r *refusal) Error() string { return r.text }

func refuse(code int32, name, format string, args ...any) *refusal {
	return &refusal{code, name, fmt.Sprintf(format, args...)}
}

func badValue(format string, args ...any) *refusal {
	return refuse(2, "BadValue", format, args...)
}

func typeMismatch(command, field string) *refusal {
	return refuse(14, "TypeMismatch", "BSON field '%s.%s' is the wrong type", command, field)
}

func missing(command, field string) *refusal {
	return refuse(40414, "Location40414", "BSON field '%s.%s' is missing but a required field", command, field)
}

func unknownField(command, field string) *refusal {
	return refuse(40415, "Location40415", "BSON field '%s.%s' is an unknown field.", command, field)
}

// errLogin is all that a client learns of a login that failed.
func errLogin() *refusal { return refuse(18, "AuthenticationFailed", "Authentication failed.") }

func noUser(who principal) *refusal {
	return refuse(11, "UserNotFound", "User '%s' not found", who)
}

// answer is what the client gets.
func (r *refusal) answer() bson.D {
	return bson.D{{Key: "ok", Value: 0.0}, {Key: "errmsg", Value: r.text}, {Key: "code", Value: r.code}, {Key: "codeName", Value: r.name}}
}
