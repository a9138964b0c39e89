package mssqlstandin

import (
	"context"
	"strings"
)

type grant struct {
	permissions []string
	on          []string // the name of what it is on
	class       string   // SCHEMA, OBJECT or empty: the database or the server
	to          string
	handOn      bool
	revoke      bool
}

// grant takes what follows GRANT or REVOKE.
func (p *parser) grant(revoke bool) (statement, error) {
	given := grant{revoke: revoke}
	var err error
	if given.permissions, err = list(p, p.permission); err != nil {
		return nil, err
	}
	if p.accept("ON") {
		if given.class, given.on, err = p.securable("SCHEMA", "OBJECT"); err != nil {
			return nil, err
		}
	}
	if !p.accept("TO") && (!revoke || !p.accept("FROM")) {
		return nil, p.near()
	}
	if given.to, err = p.name(); err != nil {
		return nil, err
	}
	if !revoke && p.accept("WITH") {
		given.handOn = true
		return given, p.expect("GRANT", "OPTION")
	}
	return given, nil
}

// permission takes one of the permissions, which may have several words.
func (p *parser) permission() (string, error) {
	var words []string
	for p.words[0].speech == speechWord && !strings.EqualFold(p.words[0].text, "ON") && !strings.EqualFold(p.words[0].text, "TO") && !strings.EqualFold(p.words[0].text, "FROM") {
		words = append(words, strings.ToUpper(p.advance().text))
	}
	name := strings.Join(words, " ")
	if !serverPermissions[name] && !databasePermissions[name] && !objectPermissions[name] {
		return "", p.near()
	}
	return name, nil
}

// securable takes a class and a name, with :: between; a name alone is an object.
func (p *parser) securable(classes ...string) (class string, path []string, err error) {
	class = "OBJECT"
	for _, candidate := range classes {
		if p.words[0].speech == speechWord && strings.EqualFold(p.words[0].text, candidate) {
			p.advance()
			if err := p.expect("::"); err != nil {
				return "", nil, err
			}
			class = candidate
			break
		}
	}
	path, err = p.path()
	return class, path, err
}

func (g grant) run(ctx context.Context, in *execution) error {
	return in.change(ctx, func(to *catalog) error {
		for _, permission := range g.permissions {
			if err := g.apply(in, to, permission); err != nil {
				return err
			}
		}
		return nil
	})
}

func (g grant) apply(in *execution, to *catalog, permission string) error {
	if g.class == "" && serverPermissions[permission] {
		return g.applyToLogin(in, to, permission)
	}
	database := to.databases[key(in.session.database)]
	on := securable{class: "DATABASE"}
	if g.class != "" {
		var err error
		if on, err = in.find(to, g.class, g.on); err != nil {
			return err
		}
	}
	if !in.session.mayGrant(to, database, permission, on) {
		return refuse(15151, "Cannot find the %s '%s', because it does not exist or you do not have permission.", strings.ToLower(on.class), strings.Join(g.on, "."))
	}
	grantee := database.principals[key(g.to)]
	if grantee == nil {
		return refuse(15151, "Cannot find the user '%s', because it does not exist or you do not have permission.", g.to)
	}
	place := grantedOn{permission, on}
	if g.revoke {
		delete(grantee.grants, place)
		return nil
	}
	if grantee.grants == nil {
		grantee.grants = map[grantedOn]bool{}
	}
	grantee.grants[place] = g.handOn
	return nil
}

func (g grant) applyToLogin(in *execution, to *catalog, permission string) error {
	if key(in.session.database) != "master" {
		return refuse(4621, "Permissions at the server scope can only be granted when the current database is master")
	}
	login := to.logins[key(g.to)]
	switch {
	case !in.session.serverAllows(to, "CONTROL SERVER"):
		return refuse(4613, "Grantor does not have GRANT permission.")
	case login == nil:
		return refuse(15151, "Cannot find the login '%s', because it does not exist or you do not have permission.", g.to)
	}
	if g.revoke {
		delete(login.grants, permission)
		return nil
	}
	if login.grants == nil {
		login.grants = map[string]bool{}
	}
	login.grants[permission] = g.handOn
	return nil
}

// find returns what a class and a name mean in the session's database; names in
// others are not understood.
func (in *execution) find(c *catalog, class string, path []string) (securable, error) {
	database, name, err := in.locate(c, path)
	if err != nil {
		return securable{}, err
	}
	missing := refuse(15151, "Cannot find the %s '%s', because it does not exist or you do not have permission.", strings.ToLower(class), strings.Join(path, "."))
	if class == "OBJECT" {
		if len(path) > 2 || database.tables[name] == nil {
			return securable{}, missing
		}
		return securable{class, name}, nil
	}
	name = key(path[len(path)-1])
	role := database.principals[name]
	switch {
	case len(path) > 1,
		class == "SCHEMA" && database.schemas[name] == nil,
		class == "ROLE" && (role == nil || !role.role):
		return securable{}, missing
	}
	return securable{class, name}, nil
}

type alterRole struct {
	role, member string
	drop         bool
}

func (p *parser) alterRole() (statement, error) {
	role, err := p.name()
	if err != nil {
		return nil, err
	}
	drop := p.accept("DROP")
	if !drop && !p.accept("ADD") {
		return nil, p.near()
	}
	if err := p.expect("MEMBER"); err != nil {
		return nil, err
	}
	member, err := p.name()
	return alterRole{role, member, drop}, err
}

func (a alterRole) run(ctx context.Context, in *execution) error {
	return in.change(ctx, func(to *catalog) error {
		database := to.databases[key(in.session.database)]
		role, member := database.principals[key(a.role)], database.principals[key(a.member)]
		if role == nil || !role.role || !in.mayChange(to, database, role) {
			return refuse(15151, "Cannot alter the role '%s', because it does not exist or you do not have permission.", a.role)
		}
		if member == nil || member.fixed {
			return refuse(15151, "Cannot add the principal '%s', because it does not exist or you do not have permission.", a.member)
		}
		if a.drop {
			delete(member.memberOf, key(a.role))
			return nil
		}
		if member.memberOf == nil {
			member.memberOf = map[string]bool{}
		}
		member.memberOf[key(a.role)] = true
		return nil
	})
}

// mayChange reports whether the session may change who is in a role: fixed roles
// are for owners of the database.
func (in *execution) mayChange(c *catalog, database *database, role *principal) bool {
	if in.session.isOwner(c, database) {
		return true
	}
	user := in.session.userIn(c, database)
	if role.fixed || user == nil {
		return false
	}
	return role.owner == key(user.name) || in.session.allows(c, database, "ALTER ANY ROLE", securable{class: "DATABASE"})
}

type alterAuthorization struct {
	class string
	on    []string
	to    string // empty: SCHEMA OWNER
}

func (p *parser) alterAuthorization() (statement, error) {
	if err := p.expect("ON"); err != nil {
		return nil, err
	}
	class, on, err := p.securable("SCHEMA", "ROLE", "OBJECT", "DATABASE")
	if err != nil {
		return nil, err
	}
	if err := p.expect("TO"); err != nil {
		return nil, err
	}
	if p.accept("SCHEMA") {
		return alterAuthorization{class, on, ""}, p.expect("OWNER")
	}
	to, err := p.name()
	return alterAuthorization{class, on, to}, err
}

func (a alterAuthorization) run(ctx context.Context, in *execution) error {
	return in.change(ctx, func(to *catalog) error {
		if a.class == "DATABASE" {
			return a.ofDatabase(in, to)
		}
		database := to.databases[key(in.session.database)]
		on, err := in.find(to, a.class, a.on)
		if err != nil {
			return err
		}
		if !in.session.isOwner(to, database) {
			return refuse(15151, "Cannot find the %s '%s', because it does not exist or you do not have permission.", strings.ToLower(a.class), on.name)
		}
		if a.to != "" && database.principals[key(a.to)] == nil {
			return refuse(15151, "Cannot find the principal '%s', because it does not exist or you do not have permission.", a.to)
		}
		switch a.class {
		case "SCHEMA":
			database.schemas[on.name].owner = key(a.to)
		case "ROLE":
			database.principals[on.name].owner = key(a.to)
		case "OBJECT":
			database.tables[on.name].owner = key(a.to)
		}
		return nil
	})
}

func (a alterAuthorization) ofDatabase(in *execution, to *catalog) error {
	database, owner := to.databases[key(a.on[0])], to.logins[key(a.to)]
	switch {
	case database == nil || len(a.on) > 1 || !in.session.serverAllows(to, "CONTROL SERVER") && !in.session.isOwner(to, database):
		return refuse(15151, "Cannot find the database '%s', because it does not exist or you do not have permission.", a.on[0])
	case owner == nil:
		return refuse(15151, "Cannot find the principal '%s', because it does not exist or you do not have permission.", a.to)
	case database.of(owner.sid) != nil:
		return refuse(15110, "The proposed new database owner is already a user or aliased in the database.")
	}
	database.owner, database.principals["dbo"].sid = owner.sid, owner.sid
	return nil
}

// call is a procedure in a batch.
type call struct {
	name      string
	arguments []string
}

func (p *parser) call() (statement, error) {
	path, err := p.path()
	if err != nil {
		return nil, err
	}
	arguments, err := list(p, p.argument)
	return call{key(path[len(path)-1]), arguments}, err
}

// argument takes a literal; a name means itself.
func (p *parser) argument() (string, error) {
	switch p.words[0].speech {
	case speechText, speechNumber, speechName, speechWord:
		return p.advance().text, nil
	}
	return "", p.near()
}

func (c call) run(ctx context.Context, in *execution) error {
	switch c.name {
	case "sp_addrolemember", "sp_droprolemember":
		return c.changeMember(ctx, in)
	case "sp_configure":
		return c.configure(ctx, in)
	}
	return refuse(2812, "Could not find stored procedure '%s'.", c.name)
}

func (c call) changeMember(ctx context.Context, in *execution) error {
	if len(c.arguments) != 2 {
		return refuse(201, "Procedure or function '%s' expects parameter '@membername', which was not supplied.", c.name)
	}
	if in.session.depth > 0 {
		return refuse(15002, "The procedure 'sys.%s' cannot be executed within a transaction.", c.name)
	}
	database := in.database()
	if role := database.principals[key(c.arguments[0])]; role == nil || !role.role {
		return refuse(15014, "The role '%s' does not exist in the current database.", c.arguments[0])
	}
	if database.principals[key(c.arguments[1])] == nil {
		return refuse(15410, "User or role '%s' does not exist in this database.", c.arguments[1])
	}
	return alterRole{c.arguments[0], c.arguments[1], c.name == "sp_droprolemember"}.run(ctx, in)
}

func (c call) configure(ctx context.Context, in *execution) error {
	if len(c.arguments) != 2 || c.arguments[0] != "contained database authentication" {
		return refuse(15123, "The configuration option '%s' does not exist, or it may be an advanced option.", strings.Join(c.arguments, ", "))
	}
	return in.change(ctx, func(to *catalog) error {
		if !in.session.serverAllows(to, "CONTROL SERVER") {
			return refuse(15247, "User does not have permission to perform this action.")
		}
		to.contained = c.arguments[1] == "1"
		return nil
	})
}

// reconfigure has nothing to do: settings take effect at once.
type reconfigure struct{}

func (reconfigure) run(context.Context, *execution) error { return nil }
