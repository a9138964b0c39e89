package mongostandin

import (
	"cmp"
	"crypto/rand"
	"maps"
	"slices"

	"github.com/xdg-go/scram"
	"go.mongodb.org/mongo-driver/v2/bson"
)

// account is a user. It is never changed, but replaced.
type account struct {
	principal
	id          string // of 16 bytes; another for the next user of that name
	roles       []role
	credentials map[string]scram.StoredCredentials // by mechanism
}

// newAccount makes a user, with credentials if there is a password.
func newAccount(who principal, password string, roles []role) (*account, error) {
	id := make([]byte, 16)
	if _, err := rand.Read(id); err != nil {
		return nil, err
	}
	made := &account{principal: who, id: string(id), roles: roles}
	return made, made.setPassword(password)
}

func createUser(c *connection, o *operation) (bson.D, error) {
	name, err := o.subject()
	if err != nil {
		return nil, err
	}
	if name == "" {
		return nil, badValue("User name cannot be empty")
	}
	if _, given := o.fields["roles"]; !given {
		return nil, missing(o.name, "roles")
	}
	roles, password, err := o.rolesAndPassword()
	if err != nil {
		return nil, err
	}
	_, hasPassword := o.fields["pwd"]
	switch {
	case o.database != external && !hasPassword:
		return nil, badValue("Must provide a 'pwd' field for all user documents, except those with '%s' as the user's source db", external)
	case hasPassword && password == "":
		return nil, badValue("Password cannot be empty")
	case !o.mayGrant(createUsers, roles):
		return nil, o.unauthorized()
	}
	made, err := newAccount(principal{name, o.database}, password, roles)
	if err != nil {
		return nil, err
	}
	c.server.mu.Lock()
	defer c.server.mu.Unlock()
	if err := o.interrupted(); err != nil {
		return nil, err
	}
	if c.server.users[made.principal] != nil {
		return nil, refuse(51003, "Location51003", "User %q already exists", made.principal)
	}
	c.server.users[made.principal] = made
	return bson.D{}, nil
}

// rolesAndPassword reads what createUser and updateUser have in common.
func (o *operation) rolesAndPassword() (roles []role, password string, err error) {
	for _, field := range []string{"customData", "digestPassword", "mechanisms", "authenticationRestrictions"} {
		if _, given := o.fields[field]; given {
			return nil, "", badValue("this stand-in knows no %s", field)
		}
	}
	if given, ok := o.fields["roles"]; ok {
		if roles, err = parseRoles(o.name, o.database, given); err != nil {
			return nil, "", err
		}
	}
	password, err = o.text("pwd")
	if _, given := o.fields["pwd"]; err == nil && given && o.database == external {
		err = badValue("Cannot set the password for users defined on the '%s' database", external)
	}
	return roles, password, err
}

// mayGrant tells whether the user may do that here, and hand on the roles.
func (o *operation) mayGrant(what action, roles []role) bool {
	return o.user.may(what, o.database) && !slices.ContainsFunc(roles, func(r role) bool { return !o.user.may(grantRoles, r.database) })
}

func updateUser(c *connection, o *operation) (bson.D, error) {
	name, err := o.subject()
	if err != nil {
		return nil, err
	}
	roles, password, err := o.rolesAndPassword()
	if err != nil {
		return nil, err
	}
	_, newRoles := o.fields["roles"]
	_, newPassword := o.fields["pwd"]
	switch {
	case !newRoles && !newPassword:
		return nil, badValue("Must specify at least one field to update in updateUser")
	case newPassword && !o.user.may(changePasswords, o.database), newRoles && !o.mayGrant(revokeRoles, roles):
		return nil, o.unauthorized()
	}
	changed := account{principal: principal{name, o.database}}
	if newPassword {
		if err := changed.setPassword(password); err != nil {
			return nil, err
		}
	}
	c.server.mu.Lock()
	defer c.server.mu.Unlock()
	old := c.server.users[changed.principal]
	if old == nil {
		return nil, noUser(changed.principal)
	}
	changed.id, changed.roles = old.id, old.roles
	if newRoles {
		changed.roles = roles
	}
	if !newPassword {
		changed.credentials = old.credentials
	}
	c.server.users[changed.principal] = &changed
	return bson.D{}, nil
}

func dropUser(c *connection, o *operation) (bson.D, error) {
	name, err := o.subject()
	if err != nil {
		return nil, err
	}
	if !o.user.may(dropUsers, o.database) {
		return nil, o.unauthorized()
	}
	who := principal{name, o.database}
	c.server.mu.Lock()
	defer c.server.mu.Unlock()
	if c.server.users[who] == nil {
		return nil, noUser(who)
	}
	delete(c.server.users, who)
	return bson.D{}, nil
}

// usersInfo lists the users of a database, of all, or one.
func usersInfo(c *connection, o *operation) (bson.D, error) {
	meant, err := o.wantedUsers()
	if err != nil {
		return nil, err
	}
	filter, err := parseFilter(o.fields["filter"])
	if err != nil {
		return nil, err
	}
	c.server.mu.Lock()
	defer c.server.mu.Unlock()
	listed := bson.A{}
	byName := func(a, b principal) int { return cmp.Compare(a.String(), b.String()) }
	for _, who := range slices.SortedFunc(maps.Keys(c.server.users), byName) {
		if meant(who) && filter(who) {
			listed = append(listed, c.server.users[who].document())
		}
	}
	return bson.D{{Key: "users", Value: listed}}, nil
}

// wantedUsers reads the value of usersInfo, and checks whether those may be seen.
func (o *operation) wantedUsers() (func(principal) bool, error) {
	value := o.body.Index(0).Value()
	var wanted struct {
		User     string `bson:"user"`
		Database string `bson:"db"`
		Anywhere bool   `bson:"forAllDBs"`
	}
	switch number, isNumber := value.AsInt64OK(); {
	case isNumber && number == 1:
		wanted.Database = o.database
	case value.Type == bson.TypeString:
		wanted.User, wanted.Database = value.StringValue(), o.database
	case value.Type != bson.TypeEmbeddedDocument || value.Unmarshal(&wanted) != nil:
		return nil, typeMismatch(o.name, o.name)
	case !wanted.Anywhere && (wanted.User == "" || wanted.Database == ""):
		return nil, badValue("UserName must contain a user and a db")
	}
	itself := o.user.principal == principal{wanted.User, wanted.Database}
	if !o.user.may(viewUsers, wanted.Database) && !itself {
		return nil, o.unauthorized()
	}
	return func(who principal) bool {
		return wanted.Anywhere || who.database == wanted.Database && (wanted.User == "" || who.name == wanted.User)
	}, nil
}

// parseFilter reads the filter of usersInfo: fields user and db, each with a text
// or {$in: [texts]}.
func parseFilter(given bson.RawValue) (func(principal) bool, error) {
	everybody := func(principal) bool { return true }
	if given.IsZero() {
		return everybody, nil
	}
	document, ok := given.DocumentOK()
	if !ok {
		return nil, typeMismatch("usersInfo", "filter")
	}
	elements, err := document.Elements()
	if err != nil {
		return nil, refuse(22, "InvalidBSON", "%s", err)
	}
	wanted := map[string][]string{}
	for _, element := range elements {
		var in struct {
			Any []string `bson:"$in"`
		}
		value := element.Value()
		if text, ok := value.StringValueOK(); ok {
			in.Any = []string{text}
		} else if value.Type != bson.TypeEmbeddedDocument || value.Unmarshal(&in) != nil || in.Any == nil {
			return nil, badValue("this stand-in knows texts and $in in filters")
		}
		wanted[element.Key()] = in.Any
	}
	return func(who principal) bool {
		for field, texts := range wanted {
			if value := map[string]string{"user": who.name, "db": who.database}[field]; !slices.Contains(texts, value) {
				return false
			}
		}
		return true
	}, nil
}

// document is a user as usersInfo shows it.
func (a *account) document() bson.D {
	mechanisms := slices.Sorted(maps.Keys(a.credentials))
	if a.database == external {
		mechanisms = []string{"external"}
	}
	return bson.D{
		{Key: "_id", Value: a.database + "." + a.name},
		{Key: "userId", Value: bson.Binary{Subtype: bson.TypeBinaryUUID, Data: []byte(a.id)}},
		{Key: "user", Value: a.name}, {Key: "db", Value: a.database},
		{Key: "roles", Value: documentsOf(a.roles)}, {Key: "mechanisms", Value: mechanisms},
	}
}
