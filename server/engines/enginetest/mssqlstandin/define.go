package mssqlstandin

import (
	"context"
	"strings"
)

// definition takes CREATE, ALTER and DROP.
func (p *parser) definition(keyword string) (statement, error) {
	p.advance()
	kind := strings.ToUpper(p.words[0].text)
	if p.words[0].speech != speechWord {
		return nil, p.near()
	}
	readers := map[string]func() (statement, error){
		"CREATE LOGIN":        p.createLogin,
		"CREATE USER":         p.createUser,
		"CREATE ROLE":         p.createRole,
		"CREATE SCHEMA":       p.createSchema,
		"CREATE TABLE":        p.createTable,
		"CREATE DATABASE":     p.createDatabase,
		"ALTER LOGIN":         p.alterLogin,
		"ALTER USER":          p.alterUser,
		"ALTER ROLE":          p.alterRole,
		"ALTER AUTHORIZATION": p.alterAuthorization,
		"DROP LOGIN":          p.dropLogin,
		"DROP USER":           p.dropUser,
		"DROP DATABASE":       p.dropDatabase,
		"DROP ROLE":           func() (statement, error) { return p.drop("ROLE") },
		"DROP SCHEMA":         func() (statement, error) { return p.drop("SCHEMA") },
		"DROP TABLE":          func() (statement, error) { return p.drop("OBJECT") },
	}
	read, known := readers[keyword+" "+kind]
	if !known {
		return nil, p.near()
	}
	p.advance()
	return read()
}

// options are what follows WITH, by upper-case name.
type options map[string]string

// options takes names with values, and names alone, of those that are known.
func (p *parser) options(known ...string) (options, error) {
	found := options{}
	_, err := list(p, func() (struct{}, error) {
		name := strings.ToUpper(p.words[0].text)
		if !strings.Contains(" "+strings.Join(known, " ")+" ", " "+name+" ") {
			return struct{}{}, p.near()
		}
		p.advance()
		if err := p.expect("="); err != nil {
			return struct{}{}, err
		}
		var err error
		if strings.HasSuffix(name, "PASSWORD") {
			found[name], err = p.text()
		} else {
			found[name], err = p.optionValue()
		}
		return struct{}{}, err
	})
	return found, err
}

// optionValue takes ON, OFF or a name.
func (p *parser) optionValue() (string, error) {
	if p.accept("ON") {
		return "ON", nil
	}
	return p.name()
}

type createSchema struct{ name, owner string }

func (createSchema) soleName() string { return "CREATE SCHEMA" }

func (p *parser) createSchema() (statement, error) {
	name, err := p.name()
	if err != nil {
		return nil, err
	}
	if !p.accept("AUTHORIZATION") {
		return createSchema{name, "dbo"}, nil
	}
	owner, err := p.name()
	return createSchema{name, owner}, err
}

func (c createSchema) run(ctx context.Context, in *execution) error {
	return in.change(ctx, func(to *catalog) error {
		database := to.databases[key(in.session.database)]
		switch {
		case !in.session.allows(to, database, "CREATE SCHEMA", securable{class: "DATABASE"}):
			return refuse(2760, "The specified schema name %q either does not exist or you do not have permission to use it.", c.name)
		case database.schemas[key(c.name)] != nil:
			return refuse(2714, "There is already an object named '%s' in the database.", c.name)
		case database.principals[key(c.owner)] == nil:
			return refuse(15151, "Cannot find the user '%s', because it does not exist or you do not have permission.", c.owner)
		}
		to.nextID++
		database.schemas[key(c.name)] = &schema{c.name, to.nextID, key(c.owner)}
		return nil
	})
}

type createRole struct{ name, owner string }

func (p *parser) createRole() (statement, error) {
	name, err := p.name()
	if err != nil {
		return nil, err
	}
	if !p.accept("AUTHORIZATION") {
		return createRole{name, "dbo"}, nil
	}
	owner, err := p.name()
	return createRole{name, owner}, err
}

func (c createRole) run(ctx context.Context, in *execution) error {
	return in.change(ctx, func(to *catalog) error {
		database := to.databases[key(in.session.database)]
		switch {
		case !in.session.allows(to, database, "ALTER ANY ROLE", securable{class: "DATABASE"}):
			return refuse(15247, "User does not have permission to perform this action.")
		case database.principals[key(c.name)] != nil:
			return refuse(15023, "User, group, or role '%s' already exists in the current database.", c.name)
		}
		to.newPrincipal(database, principal{name: c.name, role: true, owner: key(c.owner)})
		return nil
	})
}

type createTable struct {
	path    []string
	columns []string
}

func (p *parser) createTable() (statement, error) {
	path, err := p.path()
	if err != nil {
		return nil, err
	}
	if err := p.expect("("); err != nil {
		return nil, err
	}
	columns, err := list(p, func() (string, error) {
		name, err := p.name()
		if err != nil {
			return "", err
		}
		if p.accept("int") {
			return key(name), nil
		}
		if err := p.expect("nvarchar", "("); err != nil {
			return "", err
		}
		if _, err := p.number(); err != nil {
			return "", err
		}
		return key(name), p.expect(")")
	})
	if err != nil {
		return nil, err
	}
	return createTable{path, columns}, p.expect(")")
}

func (c createTable) run(ctx context.Context, in *execution) error {
	return in.change(ctx, func(to *catalog) error {
		database, name, err := in.locate(to, c.path)
		if err != nil {
			return err
		}
		schemaOf, tableName, _ := strings.Cut(name, ".")
		switch {
		case database.schemas[schemaOf] == nil:
			return refuse(2760, "The specified schema name %q either does not exist or you do not have permission to use it.", schemaOf)
		case !in.session.allows(to, database, "CREATE TABLE", securable{class: "DATABASE"}) && !in.session.allows(to, database, "CONTROL", securable{"SCHEMA", schemaOf}):
			return refuse(262, "CREATE TABLE permission denied in database '%s'.", database.name)
		case database.tables[name] != nil:
			return refuse(2714, "There is already an object named '%s' in the database.", tableName)
		}
		database.tables[name] = &table{schema: schemaOf, name: tableName, columns: c.columns}
		return nil
	})
}

type createDatabase struct {
	name      string
	contained bool
}

func (p *parser) createDatabase() (statement, error) {
	name, err := p.name()
	if err != nil {
		return nil, err
	}
	if !p.accept("CONTAINMENT") {
		return createDatabase{name, false}, nil
	}
	return createDatabase{name, true}, p.expect("=", "PARTIAL")
}

func (c createDatabase) run(ctx context.Context, in *execution) error {
	if in.session.depth > 0 {
		return refuse(226, "CREATE DATABASE statement not allowed within multi-statement transaction.")
	}
	return in.change(ctx, func(to *catalog) error {
		switch {
		case !in.session.serverAllows(to, "CONTROL SERVER"):
			return refuse(262, "CREATE DATABASE permission denied in database 'master'.")
		case to.databases[key(c.name)] != nil:
			return refuse(1801, "Database '%s' already exists. Choose a different database name.", c.name)
		case c.contained && !to.contained:
			return refuse(12824, "The sp_configure value 'contained database authentication' must be set to 1 in order to create a contained database.")
		}
		to.addDatabase(c.name, in.session.sid, c.contained || in.session.server.azure)
		return nil
	})
}

type dropDatabase struct{ name string }

func (p *parser) dropDatabase() (statement, error) {
	name, err := p.name()
	return dropDatabase{name}, err
}

func (d dropDatabase) run(ctx context.Context, in *execution) error {
	return in.change(ctx, func(to *catalog) error {
		found := to.databases[key(d.name)]
		switch {
		case found == nil || !in.session.isOwner(to, found):
			return refuse(3701, "Cannot drop the database '%s', because it does not exist or you do not have permission.", d.name)
		case in.session.server.inUse(found.name):
			return refuse(3702, "Cannot drop database %q because it is currently in use.", d.name)
		}
		delete(to.databases, key(d.name))
		return nil
	})
}

// drop is DROP of what a database holds besides users.
type drop struct {
	class string
	path  []string
}

func (p *parser) drop(class string) (statement, error) {
	path, err := p.path()
	return drop{class, path}, err
}

func (d drop) run(ctx context.Context, in *execution) error {
	return in.change(ctx, func(to *catalog) error {
		missing := refuse(3701, "Cannot drop the %s '%s', because it does not exist or you do not have permission.", strings.ToLower(d.class), strings.Join(d.path, "."))
		on, err := in.find(to, d.class, d.path)
		database := to.databases[key(in.session.database)]
		if err != nil || !in.session.isOwner(to, database) {
			return missing
		}
		switch d.class {
		case "OBJECT":
			delete(database.tables, on.name)
		case "ROLE":
			if database.principals[on.name].fixed {
				return missing
			}
			delete(database.principals, on.name)
		case "SCHEMA":
			for _, table := range database.tables {
				if table.schema == on.name {
					return refuse(3729, "Cannot drop schema '%s' because it is being referenced by object '%s'.", on.name, table.name)
				}
			}
			delete(database.schemas, on.name)
		}
		return nil
	})
}
