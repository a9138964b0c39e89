package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/novatech/securevault/server/engines/enginetest/postgrestest"
)

// inventory is a database as the guide takes it for granted.
const inventory = `CREATE ROLE ` + admin + ` LOGIN CREATEROLE PASSWORD '` + adminPassword + `';
	GRANT ALL ON SCHEMA public TO ` + admin + `; SET ROLE ` + admin + `;
	CREATE TABLE orders (id int PRIMARY KEY, item text); INSERT INTO orders VALUES (1, 'anvil'), (2, 'rocket');`

func startPostgreSQL(ctx context.Context) (running, error) {
	server, err := postgrestest.Start()
	if err != nil {
		return running{}, err
	}
	for _, step := range []struct{ database, statements string }{{postgrestest.Database, "CREATE DATABASE mydb"}, {"mydb", inventory}} {
		if err := runPostgreSQL(ctx, server.URL(postgrestest.Superuser, postgrestest.Password, step.database), step.statements); err != nil {
			server.Stop()
			return running{}, err
		}
	}
	return running{map[string]string{"DB_ADDRESS": fmt.Sprintf("127.0.0.1:%d", server.Port)}, server.Stop}, nil
}

// loginPostgreSQL takes a DATABASE_URL.
func loginPostgreSQL(ctx context.Context, text string) error {
	err := runPostgreSQL(ctx, value(text, "DATABASE_URL"), "SELECT * FROM orders")
	// The classes and codes by which PostgreSQL refuses: the login, a table.
	if refusal, ok := errors.AsType[*pgconn.PgError](err); ok && (strings.HasPrefix(refusal.Code, "28") || refusal.Code == "42501") {
		return fmt.Errorf("%w: %w", errRefused, err)
	}
	return err
}

func runPostgreSQL(ctx context.Context, url, statements string) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	_, err = conn.Exec(ctx, statements)
	return err
}
