package mssqlstandin

import "context"

type createUser struct {
	name, login, password string
	authentication        int
}

func (p *parser) createUser() (statement, error) {
	name, err := p.name()
	if err != nil {
		return nil, err
	}
	created := createUser{name: name, login: name, authentication: byInstance}
	switch {
	case p.accept("FOR"), p.accept("FROM"):
		if err := p.expect("LOGIN"); err != nil {
			return nil, err
		}
		if created.login, err = p.name(); err != nil {
			return nil, err
		}
	case p.accept("WITHOUT"):
		created.authentication = byNothing
		return created, p.expect("LOGIN")
	}
	if p.accept("WITH") {
		given, err := p.options("PASSWORD", "DEFAULT_SCHEMA")
		if err != nil {
			return nil, err
		}
		if given["PASSWORD"] != "" {
			created.password, created.authentication = given["PASSWORD"], byDatabase
		}
	}
	return created, nil
}

func (c createUser) run(ctx context.Context, in *execution) error {
	return in.change(ctx, func(to *catalog) error {
		database := to.databases[key(in.session.database)]
		if !in.session.allows(to, database, "ALTER ANY USER", securable{class: "DATABASE"}) {
			return refuse(15247, "User does not have permission to perform this action.")
		}
		if database.principals[key(c.name)] != nil {
			return refuse(15023, "User, group, or role '%s' already exists in the current database.", c.name)
		}
		added := principal{name: c.name, authentication: c.authentication, password: c.password, sid: newSID()}
		switch c.authentication {
		case byDatabase:
			if !database.contained {
				return refuse(33233, "You can only create a user with a password in a contained database.")
			}
			if err := checkPolicy(c.name, c.password); err != nil {
				return err
			}
		case byInstance:
			login := to.logins[key(c.login)]
			if login == nil {
				return refuse(15007, "'%s' is not a valid login or you do not have permission.", c.login)
			}
			if database.of(login.sid) != nil {
				return refuse(15063, "The login already has an account under a different user name.")
			}
			added.sid = login.sid
		}
		to.newPrincipal(database, added)
		return nil
	})
}

type alterUser struct{ name, password string }

func (p *parser) alterUser() (statement, error) {
	name, err := p.name()
	if err != nil {
		return nil, err
	}
	if err := p.expect("WITH"); err != nil {
		return nil, err
	}
	given, err := p.options("PASSWORD")
	return alterUser{name, given["PASSWORD"]}, err
}

func (a alterUser) run(ctx context.Context, in *execution) error {
	return in.change(ctx, func(to *catalog) error {
		database := to.databases[key(in.session.database)]
		found := database.principals[key(a.name)]
		if found == nil || found.role || !in.session.allows(to, database, "ALTER ANY USER", securable{class: "DATABASE"}) {
			return refuse(15151, "Cannot alter the user '%s', because it does not exist or you do not have permission.", a.name)
		}
		if found.authentication != byDatabase {
			return refuse(33234, "The parameter PASSWORD cannot be provided for users that cannot authenticate in a database.")
		}
		if err := checkPolicy(a.name, a.password); err != nil {
			return err
		}
		found.password = a.password
		return nil
	})
}

type dropUser struct {
	name     string
	ifExists bool
}

func (p *parser) dropUser() (statement, error) {
	ifExists := p.accept("IF")
	if ifExists {
		if err := p.expect("EXISTS"); err != nil {
			return nil, err
		}
	}
	name, err := p.name()
	return dropUser{name, ifExists}, err
}

func (d dropUser) run(ctx context.Context, in *execution) error {
	return in.change(ctx, func(to *catalog) error {
		database := to.databases[key(in.session.database)]
		found := database.principals[key(d.name)]
		switch {
		case found == nil && d.ifExists:
			return nil
		case found == nil || found.role || !in.session.allows(to, database, "ALTER ANY USER", securable{class: "DATABASE"}):
			return refuse(15151, "Cannot drop the user '%s', because it does not exist or you do not have permission.", d.name)
		case found.id <= 2:
			return refuse(15150, "Cannot drop the user '%s'.", d.name)
		}
		if err := database.unowned(key(d.name)); err != nil {
			return err
		}
		delete(database.principals, key(d.name))
		return nil
	})
}

// unowned returns an error if a principal owns something.
func (d *database) unowned(name string) error {
	for _, schema := range d.schemas {
		if schema.owner == name {
			return refuse(15138, "The database principal owns a schema in the database, and cannot be dropped.")
		}
	}
	for _, role := range d.principals {
		if role.owner == name {
			return refuse(15421, "The database principal owns a database role and cannot be dropped.")
		}
	}
	for _, table := range d.tables {
		if table.owner == name {
			return refuse(15183, "The database principal owns objects in the database and cannot be dropped.")
		}
	}
	return nil
}
