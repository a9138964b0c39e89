package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	mssql "github.com/microsoft/go-mssqldb"

	"github.com/novatech/securevault/server/engines/enginetest/mssqlstandin"
)

// shop is a database with what the admin needs by docs/databases.md.
var shop = []string{
	"CREATE DATABASE [shop]",
	"CREATE LOGIN [" + admin + "] WITH PASSWORD = '" + adminPassword + "', CHECK_POLICY = OFF",
	"GRANT ALTER ANY LOGIN, ALTER ANY CONNECTION, VIEW SERVER STATE TO [" + admin + "]",
	"USE [shop]; CREATE TABLE dbo.orders (id int, note nvarchar(100))",
	"USE [shop]; INSERT INTO dbo.orders (id, note) VALUES (1, 'first')",
	"USE [shop]; CREATE USER [" + admin + "] FOR LOGIN [" + admin + "]",
	"USE [shop]; ALTER ROLE db_owner ADD MEMBER [" + admin + "]",
}

// The numbers by which SQL Server refuses: the login, a login that is disabled, a
// database, a table.
var mssqlRefusals = []int32{18456, 18470, 4060, 229}

func startMSSQL(ctx context.Context) (running, error) {
	server, err := mssqlstandin.Start()
	if err != nil {
		return running{}, err
	}
	if err := runMSSQL(ctx, server.URL(mssqlstandin.Admin, mssqlstandin.Password, "master"), shop...); err != nil {
		server.Stop()
		return running{}, err
	}
	return running{map[string]string{"DB_ADDRESS": server.Address()}, server.Stop}, nil
}

// loginMSSQL takes a SQLSERVER_URL.
func loginMSSQL(ctx context.Context, text string) error {
	err := runMSSQL(ctx, value(text, "SQLSERVER_URL"), "SELECT id FROM dbo.orders")
	if refusal, ok := errors.AsType[mssql.Error](err); ok && slices.Contains(mssqlRefusals, refusal.Number) {
		return fmt.Errorf("%w: %w", errRefused, err)
	}
	return err
}

// runMSSQL runs batches on one connection.
func runMSSQL(ctx context.Context, url string, batches ...string) error {
	db, err := sql.Open("sqlserver", url)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	for _, batch := range batches {
		if _, err := conn.ExecContext(ctx, batch); err != nil {
			return err
		}
	}
	return nil
}
