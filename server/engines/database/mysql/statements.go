package mysql

import (
	"context"
	"database/sql"
	sqldriver "database/sql/driver"
	"regexp"
	"strings"

	"github.com/hashicorp/vault/sdk/database/dbplugin/v5"

	"github.com/novatech/securevault/server/engines/database/fault"
	"github.com/novatech/securevault/server/engines/database/statement"
)

// texts are statements of an operator, filled in. Each text may hold several, and
// is one request to the server.
type texts []string

// spacedHost finds the space in '{{name}}'@ '%'. People write it, and documents
// insert it; the server takes it for a syntax error.
var spacedHost = regexp.MustCompile("(['\"`]\\{\\{\\s*(?:name|username)\\s*\\}\\}['\"`])\\s*@\\s+(['\"`])")

// render fills in the statements, leaving out empty ones; field names them in
// errors.
func render(field string, statements dbplugin.Statements, values map[string]string) (texts, error) {
	var rendered texts
	for _, command := range statements.Commands {
		command = spacedHost.ReplaceAllString(command, "${1}@${2}")
		text, err := statement.Render(command, values)
		if err != nil {
			return nil, fault.New(fault.Refused, "%s: %s", field, err)
		}
		if strings.Trim(text, "; \t\r\n") != "" {
			rendered = append(rendered, text)
		}
	}
	return rendered, nil
}

// several tells whether a failure may come after a part has been executed: the
// server keeps what it has done.
func (t texts) several() bool {
	return len(t) > 1 || len(t) == 1 && strings.Contains(strings.TrimRight(t[0], "; \t\r\n"), ";")
}

// leavesTraces finds what may change a session for those who use it next: its
// database, variables, locks, transactions. A word too many costs a new connection.
var leavesTraces = regexp.MustCompile(`(?i)\b(?:autocommit|begin|get_lock|lock|prepare|set|start|temporary|use|xa)\b`)

// execute has the server execute the texts, up to the first that fails.
func (t texts) execute(ctx context.Context, conn *sql.Conn) error {
	for _, text := range t {
		if _, err := conn.ExecContext(ctx, text); err != nil {
			return err
		}
	}
	return nil
}

// releaseUsed is release for a connection on which the texts were executed.
func (t texts) releaseUsed(conn *sql.Conn) {
	if leavesTraces.MatchString(strings.Join(t, "\n")) {
		discard(conn)
	}
	release(conn)
}

// discard ends a connection. It still has to be released.
func discard(conn *sql.Conn) {
	_ = conn.Raw(func(any) error { return sqldriver.ErrBadConn })
}
