package mssql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/vault/sdk/database/dbplugin/v5"
	mssqldb "github.com/microsoft/go-mssqldb"

	"github.com/novatech/securevault/server/engines/database/fault"
	"github.com/novatech/securevault/server/engines/database/statement"
)

// collisions is how often batches are tried that lose against sessions of others.
const collisions = 6

// errLoose is what a transaction of the statements' own amounts to: the session
// goes back to the pool, and the server forgets what it did, or keeps half of it.
var errLoose = fault.New(fault.Refused, "the statements begin or end a transaction: remove BEGIN, COMMIT and ROLLBACK, they already run in one")

// execute runs batches in one transaction, again if they were the victim of a
// deadlock. A few statements are not allowed in a transaction; batches with one
// of them run without.
func (c *connection) execute(ctx context.Context, batches []string) error {
	if len(batches) == 0 {
		return nil
	}
	for attempt := 1; ; attempt++ {
		err := c.transact(ctx, batches)
		switch {
		case isNumber(err, numbersNoTransaction...):
			return runAll(ctx, c.Conn, batches)
		case !isNumber(err, numberDeadlock) || attempt == collisions:
			return err
		}
		pause := time.Duration(5+rand.IntN(45)) * time.Millisecond
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting after a deadlock: %w", context.Cause(ctx))
		case <-time.After(pause):
		}
	}
}

// transact runs batches in one transaction.
func (c *connection) transact(ctx context.Context, batches []string) error {
	transaction, err := c.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	// After a commit it does nothing; before one, the error that led here counts.
	defer func() { _ = transaction.Rollback() }()
	if err := runAll(ctx, transaction, batches); err != nil {
		return loose(err)
	}
	var depth int
	if err := transaction.QueryRowContext(ctx, "SELECT @@TRANCOUNT").Scan(&depth); err != nil {
		return loose(err)
	}
	if depth != 1 {
		return errLoose
	}
	return transaction.Commit()
}

// loose returns errLoose for the driver's own error that there is no transaction
// any more: an error of the server would have come first.
func loose(err error) error {
	var none mssqldb.Error
	if errors.As(err, &none) && none.Number == 0 {
		return errLoose
	}
	return err
}

// runner is a connection or a transaction.
type runner interface {
	ExecContext(ctx context.Context, text string, args ...any) (sql.Result, error)
}

func runAll(ctx context.Context, on runner, batches []string) error {
	for _, batch := range batches {
		if _, err := on.ExecContext(ctx, batch); err != nil {
			return err
		}
	}
	return nil
}

// blank reports whether there are no statements.
func blank(statements dbplugin.Statements) bool {
	return strings.TrimSpace(strings.Join(statements.Commands, "")) == ""
}

// render fills in the statements, each of which is a batch; field names them in
// errors.
func render(field string, statements dbplugin.Statements, values map[string]string) ([]string, error) {
	for name, value := range values {
		if strings.Contains(value, "]") {
			return nil, fault.New(fault.Refused, "%s: {{%s}} holds the character ']', which could end the brackets around it: take it out of the password policy or the name", field, name)
		}
	}
	var batches []string
	for _, text := range statements.Commands {
		if strings.TrimSpace(text) == "" {
			continue
		}
		batch, err := statement.Render(text, values)
		if err != nil {
			return nil, fault.New(fault.Refused, "%s: %s", field, err)
		}
		batches = append(batches, batch)
	}
	return batches, nil
}

// identifier quotes a name for use in a statement, literal a text.
func identifier(name string) string { return "[" + strings.ReplaceAll(name, "]", "]]") + "]" }
func literal(text string) string    { return "N'" + strings.ReplaceAll(text, "'", "''") + "'" }

// isNumber reports whether the server has refused with one of those errors.
func isNumber(err error, numbers ...int32) bool {
	refusal, ok := refusalOf(err)
	return ok && slices.Contains(numbers, refusal.Number)
}

// isAnswer reports whether the error is what the server had to say about the
// batches: it has done with them.
func isAnswer(err error) bool {
	_, ok := refusalOf(err)
	return ok || errors.Is(err, errLoose)
}
