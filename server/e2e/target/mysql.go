package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"github.com/go-sql-driver/mysql"

	"github.com/novatech/securevault/server/engines/enginetest/mariadbtest"
)

// warehouse is a database as the guide takes it for granted, with what the admin
// needs by docs/databases.md.
var warehouse = []string{
	"CREATE DATABASE mydb",
	"CREATE TABLE mydb.orders (id int PRIMARY KEY, item text)",
	"INSERT INTO mydb.orders VALUES (1, 'anvil'), (2, 'rocket')",
	"CREATE USER '" + admin + "'@'%' IDENTIFIED BY '" + adminPassword + "'",
	"GRANT CREATE USER, PROCESS, CONNECTION ADMIN ON *.* TO '" + admin + "'@'%'",
	"GRANT SELECT ON mysql.user TO '" + admin + "'@'%'",
	"GRANT SELECT, INSERT, UPDATE ON mydb.* TO '" + admin + "'@'%' WITH GRANT OPTION",
}

// The numbers by which the server refuses: a login, an account that is locked, a
// database, a table.
var mysqlRefusals = []uint16{1045, 4151, 1044, 1142}

func startMySQL(ctx context.Context) (running, error) {
	server, err := mariadbtest.Start()
	if err != nil {
		return running{}, err
	}
	db, err := server.Login(ctx, mariadbtest.Superuser, mariadbtest.Password, "")
	if err == nil {
		defer func() { _ = db.Close() }()
		for _, statement := range warehouse {
			if _, err = db.ExecContext(ctx, statement); err != nil {
				break
			}
		}
	}
	if err != nil {
		server.Stop()
		return running{}, err
	}
	return running{map[string]string{"DB_ADDRESS": server.Address()}, server.Stop}, nil
}

// loginMySQL takes an option file, as the client mysql and most libraries read it.
func loginMySQL(ctx context.Context, text string) error {
	config := mysql.NewConfig()
	config.User, config.Passwd = value(text, "user"), value(text, "password")
	config.Net, config.Addr, config.DBName = "tcp", value(text, "host")+":"+value(text, "port"), value(text, "database")
	db, err := sql.Open("mysql", config.FormatDSN())
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	_, err = db.ExecContext(ctx, "UPDATE orders SET item = 'magnet' WHERE id = 2")
	if refusal, ok := errors.AsType[*mysql.MySQLError](err); ok && slices.Contains(mysqlRefusals, refusal.Number) {
		return fmt.Errorf("%w: %w", errRefused, err)
	}
	return err
}
