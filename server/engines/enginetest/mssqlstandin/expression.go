package mssqlstandin

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
)

// expression computes a value: nil for NULL, else an int64, a bool, a string or
// []byte. Conditions are bool or nil.
type expression func(*scope) (any, error)

// scope is what an expression sees.
type scope struct {
	*execution
	row map[string]any // by column; nil where there is no row
}

// condition takes what may follow WHERE.
func (p *parser) condition(into *query) (expression, error) {
	return p.chain("OR", func() (expression, error) {
		return p.chain("AND", func() (expression, error) { return p.comparison(into) })
	})
}

// chain takes operands with AND, or OR, between them.
func (p *parser) chain(keyword string, operand func() (expression, error)) (expression, error) {
	left, err := operand()
	for err == nil && p.accept(keyword) {
		var right expression
		first := left
		if right, err = operand(); err != nil {
			break
		}
		left = func(in *scope) (any, error) {
			a, err := first(in)
			if err != nil || a == (keyword == "OR") {
				return a, err
			}
			b, err := right(in)
			if err == nil && a == nil && b != (keyword == "OR") && b != false {
				return nil, nil
			}
			return b, err
		}
	}
	return left, err
}

func (p *parser) comparison(into *query) (expression, error) {
	if p.accept("NOT") {
		inner, err := p.comparison(into)
		return negated(inner), err
	}
	if p.acceptSymbol("(") {
		inner, err := p.condition(into)
		if err != nil {
			return nil, err
		}
		return inner, p.expect(")")
	}
	left, err := p.sum(into)
	if err != nil {
		return nil, err
	}
	switch {
	case p.accept("IS"):
		not := p.accept("NOT")
		return func(in *scope) (any, error) {
			value, err := left(in)
			return (value == nil) != not, err
		}, p.expect("NULL")
	case p.accept("IN"):
		return p.membership(into, left)
	case p.acceptSymbol("="):
		right, err := p.sum(into)
		return equal(left, right), err
	case p.acceptSymbol("<>"), p.acceptSymbol("!="):
		right, err := p.sum(into)
		return negated(equal(left, right)), err
	}
	return nil, p.near()
}

func (p *parser) membership(into *query, left expression) (expression, error) {
	if err := p.expect("("); err != nil {
		return nil, err
	}
	options, err := list(p, func() (expression, error) { return p.sum(into) })
	if err != nil {
		return nil, err
	}
	return func(in *scope) (any, error) {
		for _, option := range options {
			if same, err := equal(left, option)(in); err != nil || same == true {
				return same, err
			}
		}
		return false, nil
	}, p.expect(")")
}

func negated(inner expression) expression {
	return func(in *scope) (any, error) {
		value, err := inner(in)
		if truth, ok := value.(bool); ok {
			return !truth, err
		}
		return nil, err
	}
}

// equal compares as a collation without case does: blanks at the end do not
// count, and NULL equals nothing.
func equal(left, right expression) expression {
	return func(in *scope) (any, error) {
		a, err := left(in)
		if err != nil {
			return nil, err
		}
		b, err := right(in)
		if err != nil || a == nil || b == nil {
			return nil, err
		}
		switch a := a.(type) {
		case string:
			if b, ok := b.(string); ok {
				return strings.EqualFold(strings.TrimRight(a, " "), strings.TrimRight(b, " ")), nil
			}
		case []byte:
			if b, ok := b.([]byte); ok {
				return bytes.Equal(a, b), nil
			}
		}
		x, err := integer(a)
		if err != nil {
			return nil, err
		}
		y, err := integer(b)
		return x == y, err
	}
}

// integer converts as SQL Server does where a number is needed.
func integer(value any) (int64, error) {
	switch value := value.(type) {
	case int64:
		return value, nil
	case bool:
		if value {
			return 1, nil
		}
		return 0, nil
	case string:
		if number, err := strconv.ParseInt(strings.TrimSpace(value), 10, 32); err == nil {
			return number, nil
		}
	}
	return 0, refuse(245, "Conversion failed when converting the value '%v' to data type int.", value)
}

// sum takes a value, or several with + between.
func (p *parser) sum(into *query) (expression, error) {
	left, err := p.value(into)
	for err == nil && p.acceptSymbol("+") {
		var right expression
		first := left
		if right, err = p.value(into); err != nil {
			break
		}
		left = func(in *scope) (any, error) {
			a, err := first(in)
			if err != nil {
				return nil, err
			}
			b, err := right(in)
			if err != nil || a == nil || b == nil {
				return nil, err
			}
			if a, ok := a.(string); ok {
				return a + fmt.Sprint(b), nil
			}
			x, err := integer(a)
			if err != nil {
				return nil, err
			}
			y, err := integer(b)
			return x + y, err
		}
	}
	return left, err
}

func (p *parser) value(into *query) (expression, error) {
	next := p.words[0]
	switch next.speech {
	case speechText:
		p.advance()
		return constant(next.text), nil
	case speechNumber:
		number, err := p.number()
		return constant(int64(number)), err
	case speechVariable:
		p.advance()
		return variable(next.text), nil
	case speechName, speechWord:
		return p.columnOrCall(into)
	}
	return nil, p.near()
}

func constant(value any) expression { return func(*scope) (any, error) { return value, nil } }

// variable is a parameter, or one of the server's own.
func variable(name string) expression {
	return func(in *scope) (any, error) {
		switch name {
		case "@@spid":
			return int64(in.session.id), nil
		case "@@trancount":
			return int64(in.session.depth), nil
		}
		if value, ok := in.parameters[name]; ok {
			return value, nil
		}
		return nil, refuse(137, "Must declare the scalar variable \"%s\".", name)
	}
}

// columnOrCall takes NULL, a column or a call of a function.
func (p *parser) columnOrCall(into *query) (expression, error) {
	if p.accept("NULL") {
		return constant(nil), nil
	}
	quoted := p.words[0].speech == speechName
	names, err := p.path()
	if err != nil {
		return nil, err
	}
	if !quoted && len(names) == 1 && p.acceptSymbol("(") {
		return p.functionCall(into, strings.ToUpper(names[0]))
	}
	column := key(names[len(names)-1])
	into.uses = append(into.uses, column)
	return func(in *scope) (any, error) { return in.row[column], nil }, nil
}

func (p *parser) functionCall(into *query, name string) (expression, error) {
	if name == "CAST" {
		return p.cast(into)
	}
	implementation, known := functions[name]
	if !known {
		return nil, refuse(195, "'%s' is not a recognized built-in function name.", name)
	}
	var arguments []expression
	if !p.acceptSymbol(")") {
		var err error
		if arguments, err = list(p, func() (expression, error) { return p.sum(into) }); err != nil {
			return nil, err
		}
		if err := p.expect(")"); err != nil {
			return nil, err
		}
	}
	if len(arguments) != implementation.arguments {
		return nil, refuse(174, "The %s function requires %d argument(s).", strings.ToLower(name), implementation.arguments)
	}
	return func(in *scope) (any, error) {
		values := make([]any, len(arguments))
		for i, argument := range arguments {
			var err error
			if values[i], err = argument(in); err != nil {
				return nil, err
			}
		}
		return implementation.call(in, values), nil
	}, nil
}

// cast takes the rest of CAST(value AS int).
func (p *parser) cast(into *query) (expression, error) {
	inner, err := p.sum(into)
	if err != nil {
		return nil, err
	}
	return func(in *scope) (any, error) {
		value, err := inner(in)
		if err != nil || value == nil {
			return nil, err
		}
		return integer(value)
	}, p.expect("AS", "int", ")")
}

// function is one that is built in.
type function struct {
	arguments int
	call      func(in *scope, given []any) any
}

var functions = map[string]function{
	"APP_NAME":          {0, func(in *scope, _ []any) any { return in.session.program }},
	"CHARINDEX":         {2, charIndex},
	"DB_NAME":           {0, func(in *scope, _ []any) any { return in.session.database }},
	"HAS_DBACCESS":      {1, hasAccess},
	"HAS_PERMS_BY_NAME": {3, hasPermission},
	"ORIGINAL_LOGIN":    {0, func(in *scope, _ []any) any { return in.session.login }},
	"QUOTENAME":         {1, quoteName},
	"SCHEMA_NAME":       {1, schemaName},
	"SERVERPROPERTY":    {1, serverProperty},
	"SUSER_SID":         {1, loginSID},
	"SUSER_SNAME":       {0, func(in *scope, _ []any) any { return in.session.login }},
	"USER_NAME":         {0, userName},
}

func charIndex(_ *scope, given []any) any {
	sought, isText := given[0].(string)
	text, isAlsoText := given[1].(string)
	if !isText || !isAlsoText {
		return nil
	}
	return int64(strings.Index(strings.ToLower(text), strings.ToLower(sought)) + 1)
}

func hasAccess(in *scope, given []any) any {
	name, _ := given[0].(string)
	database := in.catalog().databases[key(name)]
	if database == nil {
		return nil
	}
	if in.session.userIn(in.catalog(), database) == nil {
		return int64(0)
	}
	return int64(1)
}

// hasPermission knows the permissions of the server, (NULL, NULL, name), and of
// the session's database, (DB_NAME(), 'DATABASE', name).
func hasPermission(in *scope, given []any) any {
	permission, _ := given[2].(string)
	permission = strings.ToUpper(permission)
	allowed := in.session.serverAllows(in.catalog(), permission)
	if given[1] != nil {
		allowed = in.session.allows(in.catalog(), in.database(), permission, securable{class: "DATABASE"})
	}
	if allowed {
		return int64(1)
	}
	return int64(0)
}

func quoteName(_ *scope, given []any) any {
	name, ok := given[0].(string)
	if !ok {
		return nil
	}
	return "[" + strings.ReplaceAll(name, "]", "]]") + "]"
}

func schemaName(in *scope, given []any) any {
	for _, schema := range in.database().schemas {
		if int64(schema.id) == given[0] {
			return schema.name
		}
	}
	return nil
}

func serverProperty(in *scope, given []any) any {
	if name, _ := given[0].(string); !strings.EqualFold(name, "EngineEdition") {
		return nil
	}
	if in.session.server.azure {
		return int64(5)
	}
	return int64(3)
}

func loginSID(in *scope, given []any) any {
	name, _ := given[0].(string)
	if found := in.catalog().logins[key(name)]; found != nil {
		return []byte(found.sid)
	}
	return nil
}

func userName(in *scope, _ []any) any {
	if user := in.session.userIn(in.catalog(), in.database()); user != nil {
		return user.name
	}
	return nil
}
