package oraclestandin

import (
	"fmt"
	"slices"
	"strconv"
	"time"
)

// Kinds of columns, as TTC numbers them.
const (
	kindText      = 1
	kindNumber    = 2
	kindTimestamp = 181 // with time zone
)

// source is what a query reads from.
type source struct {
	name    string // OWNER.NAME
	columns []column
	rows    [][]any
}

// expression gives a value for each row.
type expression struct {
	name  string
	kind  byte
	value func(row []any) any
}

// selectRows reads SELECT list FROM object [WHERE comparison [AND comparison]…].
func (p *parser) selectRows() (result, error) {
	from := slices.IndexFunc(p.tokens, func(t token) bool { return t.is(word, "FROM") })
	if from < 0 {
		return result{}, refuse(923, "FROM keyword not found where expected")
	}
	list := &parser{session: p.session, tokens: p.tokens[:from]}
	p.tokens = p.tokens[from+1:]
	read, err := p.source("SELECT")
	if err != nil {
		return result{}, err
	}
	if list.words("COUNT") {
		return p.count(list, read)
	}
	selected := list.list(read)
	if err := list.end(); err != nil {
		return result{}, err
	}
	rows, err := p.where(read)
	if err != nil {
		return result{}, err
	}
	found := result{}
	for _, each := range selected {
		found.columns = append(found.columns, resultColumn{each.name, each.kind})
	}
	for _, row := range rows {
		values := []any{}
		for _, each := range selected {
			values = append(values, each.value(row))
		}
		found.rows = append(found.rows, values)
	}
	return found, nil
}

// count ends SELECT COUNT(*) FROM ….
func (p *parser) count(list *parser, read source) (result, error) {
	if !list.symbol("(") || !list.symbol("*") || !list.symbol(")") {
		list.fail(909, "invalid number of arguments")
	}
	if err := list.end(); err != nil {
		return result{}, err
	}
	rows, err := p.where(read)
	return result{columns: []resultColumn{{"COUNT(*)", kindNumber}}, rows: [][]any{{int64(len(rows))}}}, err
}

// source reads the name of an object that the user may read, or write.
func (p *parser) source(privilege string) (source, error) {
	object := p.object()
	d := p.database()
	switch {
	case p.err != nil:
		return source{}, p.err
	case d.tables[object] == nil || !d.mayOn(p.session.user, object, ""):
		return source{}, refuse(942, "table or view does not exist")
	case !d.mayOn(p.session.user, object, privilege):
		return source{}, refuse(1031, "insufficient privileges")
	}
	columns, rows := d.content(object)
	return source{object, columns, rows}, nil
}

// list reads what is selected.
func (p *parser) list(from source) (selected []expression) {
	if p.symbol("*") {
		for i := range from.columns {
			selected = append(selected, from.column(i))
		}
		return selected
	}
	for more := true; more; more = p.symbol(",") {
		selected = append(selected, p.expression(from))
	}
	return selected
}

func (s source) column(i int) expression {
	kind := byte(kindText)
	if s.columns[i].numeric {
		kind = kindNumber
	}
	return expression{s.columns[i].name, kind, func(row []any) any { return row[i] }}
}

// expression reads a column, a constant or a bind variable.
func (p *parser) expression(from source) expression {
	taken, _ := p.next()
	constant := func(kind byte, value any) expression {
		return expression{taken.text, kind, func([]any) any { return value }}
	}
	switch {
	case taken.kind == literal && p.err == nil:
		return constant(kindText, taken.text)
	case taken.kind == number:
		value, _ := strconv.ParseInt(taken.text, 10, 64)
		return constant(kindNumber, value)
	case taken.kind == variable && len(p.binds) > 0:
		value := p.binds[0]
		p.binds = p.binds[1:]
		return constant(kindText, value)
	case taken.kind == variable:
		p.fail(1008, "not all variables bound")
	case taken.is(word, "SYSTIMESTAMP"):
		return constant(kindTimestamp, time.Now().UTC())
	case taken.is(word, "USER"):
		return constant(kindText, p.session.user)
	}
	if i := slices.IndexFunc(from.columns, func(c column) bool { return c.name == taken.text }); i >= 0 {
		return from.column(i)
	}
	p.fail(904, `"%s": invalid identifier`, taken.text)
	return constant(kindText, nil)
}

// where reads the comparisons up to the end, and returns the rows that pass.
func (p *parser) where(from source) ([][]any, error) {
	type comparison struct {
		left, right expression
		equal       bool
	}
	var all []comparison
	if p.words("WHERE") {
		for more := true; more; more = p.words("AND") {
			left := p.expression(from)
			equal := p.symbol("=")
			if !equal && !p.symbol("<>") && !p.symbol("!=") {
				p.fail(920, "invalid relational operator")
			}
			all = append(all, comparison{left, p.expression(from), equal})
		}
	}
	if err := p.end(); err != nil {
		return nil, err
	}
	var rows [][]any
	for _, row := range from.rows {
		if !slices.ContainsFunc(all, func(c comparison) bool {
			return (fmt.Sprint(c.left.value(row)) == fmt.Sprint(c.right.value(row))) != c.equal
		}) {
			rows = append(rows, row)
		}
	}
	return rows, nil
}

// insert reads INSERT INTO object VALUES (constant [, constant]…).
func (p *parser) insert() (result, error) {
	into, err := p.source("INSERT")
	if err != nil {
		return result{}, err
	}
	p.need(926, "missing VALUES keyword", "VALUES")
	if !p.symbol("(") {
		p.fail(906, "missing left parenthesis")
	}
	values := []any{}
	for more := true; more; more = p.symbol(",") {
		values = append(values, p.expression(source{}).value(nil))
	}
	if !p.symbol(")") {
		p.fail(917, "missing comma")
	}
	if err := p.end(); err != nil {
		return result{}, err
	}
	if len(values) != len(into.columns) {
		return result{}, refuse(947, "not enough values")
	}
	target := p.database().tables[into.name]
	target.rows = append(target.rows, values)
	return result{affected: 1}, nil
}

// createTable reads CREATE TABLE name (column type [, column type]…).
func (p *parser) createTable() error {
	name := p.name(903, "invalid table name")
	if !p.symbol("(") {
		p.fail(906, "missing left parenthesis")
	}
	made := &table{owner: p.session.user}
	for more := true; more; more = p.symbol(",") {
		made.columns = append(made.columns, column{p.name(904, "invalid identifier"), p.numeric()})
	}
	if !p.symbol(")") {
		p.fail(907, "missing right parenthesis")
	}
	if err := p.allowed("CREATE TABLE"); err != nil {
		return err
	}
	if p.database().tables[made.owner+"."+name] != nil {
		return refuse(955, "name is already used by an existing object")
	}
	p.database().tables[made.owner+"."+name] = made
	return nil
}

// numeric reads a type, and tells whether it is NUMBER.
func (p *parser) numeric() bool {
	if p.words("NUMBER") {
		return true
	}
	p.need(902, "invalid datatype", "VARCHAR2")
	opened := p.symbol("(")
	size, _ := p.next()
	if p.err == nil && (!opened || size.kind != number || !p.symbol(")")) {
		p.fail(906, "missing left parenthesis")
	}
	return false
}

// dropTable drops a table of the user.
func (p *parser) dropTable() error {
	name := p.session.user + "." + p.name(903, "invalid table name")
	if err := p.end(); err != nil {
		return err
	}
	if p.database().tables[name] == nil {
		return refuse(942, "table or view does not exist")
	}
	p.database().dropTable(name)
	return nil
}
