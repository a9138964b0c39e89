package mysql

import (
	"context"
	"database/sql"
	"strings"
)

// Queries for the hosts at which the server knows a user.
const (
	everywhere = "SELECT Host FROM mysql.user WHERE User = ?"

	// havingPassword leaves out the accounts that a new password would take their
	// way to log in from, such as root's over the local socket.
	havingPassword = everywhere + ` AND plugin NOT IN ('unix_socket', 'auth_socket', 'auth_pam', 'pam', 'gssapi', 'authentication_pam')
		AND authentication_string <> 'invalid'`
)

// hostsOf returns what one of the queries finds.
func hostsOf(ctx context.Context, conn *sql.Conn, query, name string) ([]string, error) {
	return column[string](ctx, conn, query, name)
}

// accounts lists a user's accounts at hosts, for use in a statement. Names in
// backticks know no escapes but a doubled backtick, whatever the server's sql_mode.
func accounts(name string, hosts []string) []string {
	quoted := make([]string, len(hosts))
	for i, host := range hosts {
		quoted[i] = identifier(name) + "@" + identifier(host)
	}
	return quoted
}

func identifier(name string) string { return "`" + strings.ReplaceAll(name, "`", "``") + "`" }

// column returns what a query of one column finds.
func column[T any](ctx context.Context, conn *sql.Conn, query string, args ...any) (values []T, err error) {
	rows, err := conn.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var value T
		if err := rows.Scan(&value); err != nil {
			return nil, err
		}
		values = append(values, value)
	}
	return values, rows.Err()
}
