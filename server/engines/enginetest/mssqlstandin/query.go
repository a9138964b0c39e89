package mssqlstandin

import (
	"context"
	"slices"
	"strings"
)

// data takes SELECT, INSERT, DELETE and IF.
func (p *parser) data(keyword string) (statement, error) {
	p.advance()
	switch keyword {
	case "SELECT":
		return p.query()
	case "INSERT":
		return p.insert()
	case "DELETE":
		if err := p.expect("FROM"); err != nil {
			return nil, err
		}
		path, err := p.path()
		return deleteAll{path}, err
	}
	not := p.accept("NOT")
	if err := p.expect("EXISTS", "(", "SELECT"); err != nil {
		return nil, err
	}
	asked, err := p.query()
	if err != nil {
		return nil, err
	}
	if err := p.expect(")"); err != nil {
		return nil, err
	}
	then, err := p.statement(false)
	return ifExists{asked, !not, then}, err
}

// query is a SELECT from a table, a view or nothing.
type query struct {
	all     bool // *
	count   bool // COUNT(*)
	names   []string
	columns []expression
	from    []string
	where   expression
	uses    []string // columns that must exist
}

func (p *parser) query() (*query, error) {
	asked := &query{}
	if err := p.selected(asked); err != nil {
		return nil, err
	}
	if !p.accept("FROM") {
		return asked, nil
	}
	var err error
	if asked.from, err = p.path(); err != nil {
		return nil, err
	}
	if p.accept("WHERE") {
		asked.where, err = p.condition(asked)
	}
	return asked, err
}

// selected takes what stands between SELECT and FROM.
func (p *parser) selected(into *query) error {
	if p.acceptSymbol("*") {
		into.all = true
		return nil
	}
	if strings.EqualFold(p.words[0].text, "COUNT") && p.words[0].speech == speechWord {
		into.count, into.names = true, []string{""}
		p.advance()
		return p.expect("(", "*", ")")
	}
	columns, err := list(p, func() (expression, error) {
		into.names = append(into.names, p.words[0].text)
		return p.sum(into)
	})
	into.columns = columns
	return err
}

func (q *query) run(_ context.Context, in *execution) error {
	rows, err := q.rows(in)
	if err != nil {
		return err
	}
	in.answer.rows(q.names, rows)
	in.affected = len(rows)
	return nil
}

// rows computes the result.
func (q *query) rows(in *execution) ([][]any, error) {
	known, rows, err := q.source(in)
	if err != nil {
		return nil, err
	}
	for _, column := range q.uses {
		if !slices.Contains(known, column) {
			return nil, refuse(207, "Invalid column name '%s'.", column)
		}
	}
	if q.all {
		q.names, q.columns = known, nil
		for _, column := range known {
			q.columns = append(q.columns, func(in *scope) (any, error) { return in.row[column], nil })
		}
	}
	var result [][]any
	for _, row := range rows {
		computed, err := q.row(&scope{in, row})
		if err != nil {
			return nil, err
		}
		if computed != nil {
			result = append(result, computed)
		}
	}
	if q.count {
		return [][]any{{int64(len(result))}}, nil
	}
	return result, nil
}

// row returns nil for a row that WHERE leaves out.
func (q *query) row(in *scope) ([]any, error) {
	if q.where != nil {
		if fits, err := q.where(in); fits != true || err != nil {
			return nil, err
		}
	}
	row := make([]any, len(q.columns))
	for i, column := range q.columns {
		var err error
		if row[i], err = column(in); err != nil {
			return nil, err
		}
	}
	return row, nil
}

// source returns what is behind FROM.
func (q *query) source(in *execution) (columns []string, rows []map[string]any, err error) {
	if q.from == nil {
		return nil, []map[string]any{{}}, nil
	}
	path := q.from
	if n := len(path); n >= 2 && key(path[n-2]) == "sys" {
		return in.view(path)
	}
	database, name, err := in.locate(in.catalog(), path)
	if err != nil {
		return nil, nil, err
	}
	found, err := in.table(database, name, "SELECT")
	if err != nil {
		return nil, nil, err
	}
	return found.columns, found.rows, nil
}

// locate returns the database and the schema.table that a path of up to three
// names means.
func (in *execution) locate(c *catalog, path []string) (*database, string, error) {
	full := []string{in.session.database, "dbo", ""}
	if len(path) > len(full) {
		return nil, "", refuse(208, "Invalid object name '%s'.", strings.Join(path, "."))
	}
	copy(full[len(full)-len(path):], path)
	database := c.databases[key(full[0])]
	switch {
	case in.session.server.azure && key(full[0]) != key(in.session.database):
		return nil, "", refuse(40515, "Reference to database and/or server name in '%s' is not supported in this version of SQL Server.", strings.Join(path, "."))
	case database == nil:
		return nil, "", refuse(208, "Invalid object name '%s'.", strings.Join(path, "."))
	case in.session.userIn(c, database) == nil:
		return nil, "", refusal{916, 1, 14, "The server principal \"" + in.session.login + "\" is not able to access the database \"" + database.name + "\" under the current security context."}
	}
	return database, key(full[1]) + "." + key(full[2]), nil
}

// table returns a table that the session may use.
func (in *execution) table(database *database, name, permission string) (*table, error) {
	found := database.tables[name]
	if found == nil {
		return nil, refuse(208, "Invalid object name '%s'.", name)
	}
	if !in.session.allows(in.catalog(), database, permission, securable{"OBJECT", name}) {
		return nil, refusal{229, 5, 14, "The " + permission + " permission was denied on the object '" + found.name + "', database '" + database.name + "', schema '" + found.schema + "'."}
	}
	return found, nil
}

// view is one of the server's own, of the schema sys.
type view struct {
	columns string
	rows    func(in *execution, of *database) []map[string]any
}

var views = map[string]view{
	"databases":           {"name database_id state owner_sid containment", databaseRows},
	"server_principals":   {"name sid type is_disabled", loginRows},
	"sql_logins":          {"name sid type is_disabled", loginRows},
	"dm_exec_sessions":    {"session_id login_name original_login_name program_name host_name", sessionRows},
	"database_principals": {"name principal_id sid type authentication_type owning_principal_id", principalRows},
	"schemas":             {"name schema_id principal_id", schemaRows},
	"objects":             {"name schema_id principal_id type", objectRows},
}

func (in *execution) view(path []string) (columns []string, rows []map[string]any, err error) {
	name := key(path[len(path)-1])
	found, known := views[name]
	if !known || name == "sql_logins" && in.session.server.azure && in.session.database != "master" {
		return nil, nil, refuse(208, "Invalid object name '%s'.", strings.Join(path, "."))
	}
	of, _, err := in.locate(in.catalog(), path)
	if err != nil {
		return nil, nil, err
	}
	return strings.Fields(found.columns), found.rows(in, of), nil
}

func databaseRows(in *execution, _ *database) (rows []map[string]any) {
	for _, found := range in.catalog().databases {
		rows = append(rows, map[string]any{
			"name": found.name, "database_id": int64(found.id), "state": int64(0), "owner_sid": []byte(found.owner), "containment": number(found.contained),
		})
	}
	return rows
}

// number is a bit, or a tinyint that is one.
func number(truth bool) int64 {
	if truth {
		return 1
	}
	return 0
}

// loginRows shows others only to those who may change them.
func loginRows(in *execution, _ *database) (rows []map[string]any) {
	c := in.catalog()
	all := in.session.serverAllows(c, "ALTER ANY LOGIN") || in.session.serverAllows(c, "VIEW ANY DEFINITION")
	for _, found := range c.logins {
		if all || found.sid == in.session.sid {
			rows = append(rows, map[string]any{"name": found.name, "sid": []byte(found.sid), "type": "S", "is_disabled": found.disabled})
		}
	}
	return rows
}

// sessionRows shows others only to those who may see the state of the server.
func sessionRows(in *execution, _ *database) (rows []map[string]any) {
	own := in.session
	c := in.catalog()
	all := own.serverAllows(c, "VIEW SERVER STATE")
	if own.server.azure {
		all = own.allows(c, in.database(), "VIEW DATABASE STATE", securable{class: "DATABASE"})
	}
	own.server.mu.Lock()
	defer own.server.mu.Unlock()
	for _, found := range own.server.sessions {
		if found != own && (!all || own.server.azure && found.home != own.home) {
			continue
		}
		rows = append(rows, map[string]any{
			"session_id": int64(found.id), "login_name": found.login, "original_login_name": found.login,
			"program_name": found.program, "host_name": found.host,
		})
	}
	return rows
}

// principalRows shows others only to those who may change them.
func principalRows(in *execution, of *database) (rows []map[string]any) {
	c := in.catalog()
	own := in.session.userIn(c, of)
	all := in.session.allows(c, of, "ALTER ANY USER", securable{class: "DATABASE"}) || in.session.serverAllows(c, "VIEW ANY DEFINITION")
	for _, found := range of.principals {
		if !all && !found.fixed && found != own && found.id > 2 {
			continue
		}
		row := map[string]any{
			"name": found.name, "principal_id": int64(found.id), "sid": []byte(found.sid), "type": "S",
			"authentication_type": int64(found.authentication), "owning_principal_id": of.id64(found.owner),
		}
		if found.role {
			row["type"] = "R"
		}
		rows = append(rows, row)
	}
	return rows
}

// id64 returns the principal_id of a name, nil for none.
func (d *database) id64(name string) any {
	if found := d.principals[name]; found != nil {
		return int64(found.id)
	}
	return nil
}

func schemaRows(_ *execution, of *database) (rows []map[string]any) {
	for _, found := range of.schemas {
		rows = append(rows, map[string]any{"name": found.name, "schema_id": int64(found.id), "principal_id": of.id64(found.owner)})
	}
	return rows
}

func objectRows(_ *execution, of *database) (rows []map[string]any) {
	for _, found := range of.tables {
		rows = append(rows, map[string]any{
			"name": found.name, "schema_id": int64(of.schemas[found.schema].id), "principal_id": of.id64(found.owner), "type": "U",
		})
	}
	return rows
}

type insert struct {
	path    []string
	columns []string
	values  []expression
}

func (p *parser) insert() (statement, error) {
	var given insert
	err := p.expect("INTO")
	if err != nil {
		return nil, err
	}
	if given.path, err = p.path(); err != nil {
		return nil, err
	}
	if err = p.expect("("); err != nil {
		return nil, err
	}
	if given.columns, err = list(p, p.name); err != nil {
		return nil, err
	}
	if err = p.expect(")", "VALUES", "("); err != nil {
		return nil, err
	}
	var none query
	if given.values, err = list(p, func() (expression, error) { return p.sum(&none) }); err != nil {
		return nil, err
	}
	if len(none.uses) > 0 {
		return nil, refuse(128, "The name %q is not permitted in this context.", none.uses[0])
	}
	return given, p.expect(")")
}

func (i insert) run(ctx context.Context, in *execution) error {
	return in.change(ctx, func(to *catalog) error {
		database, name, err := in.locate(to, i.path)
		if err != nil {
			return err
		}
		target, err := in.table(database, name, "INSERT")
		if err != nil {
			return err
		}
		if len(i.columns) != len(i.values) {
			return refuse(110, "There are fewer columns in the INSERT statement than values specified in the VALUES clause.")
		}
		row := map[string]any{}
		for n, column := range i.columns {
			if !slices.Contains(target.columns, key(column)) {
				return refuse(207, "Invalid column name '%s'.", column)
			}
			if row[key(column)], err = i.values[n](&scope{execution: in}); err != nil {
				return err
			}
		}
		target = to.databases[key(database.name)].tables[name]
		target.rows = append(target.rows, row)
		in.affected = 1
		return nil
	})
}

type deleteAll struct{ path []string }

func (d deleteAll) run(ctx context.Context, in *execution) error {
	return in.change(ctx, func(to *catalog) error {
		database, name, err := in.locate(to, d.path)
		if err != nil {
			return err
		}
		if _, err := in.table(database, name, "DELETE"); err != nil {
			return err
		}
		target := to.databases[key(database.name)].tables[name]
		in.affected, target.rows = len(target.rows), nil
		return nil
	})
}

// ifExists runs a statement if a query has rows, or if it has none.
type ifExists struct {
	asked  *query
	wanted bool
	then   statement
}

func (i ifExists) run(ctx context.Context, in *execution) error {
	rows, err := i.asked.rows(in)
	if err != nil || (len(rows) > 0) != i.wanted {
		return err
	}
	return i.then.run(ctx, in)
}
