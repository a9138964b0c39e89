package postgresql

import (
	"context"
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/novatech/securevault/server/engines/database/fault"
	"github.com/novatech/securevault/server/engines/database/statement"
)

// takeTurn makes a transaction wait for the others that change the privileges of
// shared objects: two concurrent GRANTs on one table make PostgreSQL fail one of
// them instead of letting it wait. The numbers are this engine's own key among
// the database's advisory locks; the lock ends with the transaction.
const takeTurn = "SELECT pg_advisory_xact_lock(1400260948, 1684104562);\n"

// grantsPrivileges finds GRANT … ON …, unlike GRANT role TO role.
var grantsPrivileges = regexp.MustCompile(`(?is)\bGRANT\b.*\bON\b`)

// creation finds the statement that creates a role at the beginning of a text.
var creation = regexp.MustCompile(`(?is)^\s*CREATE\s+(?:ROLE|USER)\b[^;]*;`)

// inTurn makes a text that grants privileges take its turn: after the role was
// created, if it can be seen where that ends, for hashing the password takes
// longer than all the rest.
func inTurn(text string) string {
	if !grantsPrivileges.MatchString(text) {
		return text
	}
	first := creation.FindString(text)
	if !ends(first) {
		first = ""
	}
	return first + takeTurn + text[len(first):]
}

// ends tells whether the semicolon at the end of a text is surely none in quotes or in
// a comment.
func ends(text string) bool {
	return !statement.DollarQuotes(text) && !strings.Contains(text, "--") && !strings.Contains(text, "/*") &&
		strings.Count(text, "'")%2 == 0 && strings.Count(text, `"`)%2 == 0
}

// collisions is how often a text is tried against sessions that are not ours.
const collisions = 6

// execute sends a text of any number of statements, which the server runs as one
// transaction, again if it collided with another session.
func execute(ctx context.Context, conn *pgx.Conn, text string) error {
	for attempt := 1; ; attempt++ {
		_, err := conn.PgConn().Exec(ctx, text).ReadAll()
		switch {
		case err == nil && conn.PgConn().TxStatus() != 'I':
			return errOpenTransaction
		case err == nil || attempt == collisions || !collided(err):
			return err
		}
		pause := time.Duration(5+rand.IntN(45)) * time.Millisecond
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting after a collision: %w", context.Cause(ctx))
		case <-time.After(pause):
		}
	}
}

// errOpenTransaction is what a BEGIN without COMMIT amounts to: the session goes
// back to the pool, and the server forgets all it did.
var errOpenTransaction = fault.New(fault.Refused, "the statements leave a transaction open: remove BEGIN, they already run in one transaction")

// identifier quotes a name for use in a statement.
func identifier(name string) string { return pgx.Identifier{name}.Sanitize() }
