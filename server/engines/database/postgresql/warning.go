package postgresql

import "github.com/jackc/pgx/v5/pgconn"

const (
	// maxWarnings bounds what is kept of them: a GRANT on all tables may warn of
	// each.
	maxWarnings = 5
	warningsKey = "warnings" // of a connection's custom data
)

// keepWarning keeps what the server warns of until takeWarnings. Its notices,
// such as that something is skipped, are not meant for those who ask for a
// credential.
func keepWarning(conn *pgconn.PgConn, notice *pgconn.Notice) {
	if notice.SeverityUnlocalized != "WARNING" {
		return
	}
	kept, _ := conn.CustomData()[warningsKey].([]string)
	if len(kept) < maxWarnings {
		conn.CustomData()[warningsKey] = append(kept, notice.Message)
	}
}

// takeWarnings returns what was kept of a connection, and forgets it.
func takeWarnings(conn *pgconn.PgConn) []string {
	kept, _ := conn.CustomData()[warningsKey].([]string)
	delete(conn.CustomData(), warningsKey)
	return kept
}
