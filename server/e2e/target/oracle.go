package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	_ "github.com/sijms/go-ora/v2" // the driver "oracle"
	"github.com/sijms/go-ora/v2/network"

	"github.com/novatech/securevault/server/engines/enginetest/oraclestandin"
)

// The codes by which Oracle refuses: the login, a locked account, a session that
// was killed, a table.
var oracleRefusals = []int{1017, 28000, 28, 942, 1031}

func startOracle(ctx context.Context) (running, error) {
	server, err := oraclestandin.Start(nil)
	if err != nil {
		return running{}, err
	}
	err = runOracle(ctx, server.URL(oraclestandin.System, oraclestandin.SystemPassword),
		`ALTER USER `+oraclestandin.Admin+` IDENTIFIED BY "`+adminPassword+`"`)
	if err != nil {
		server.Stop()
		return running{}, err
	}
	return running{map[string]string{"DB_ADDRESS": server.Address()}, server.Stop}, nil
}

// loginOracle takes an ORACLE_URL.
func loginOracle(ctx context.Context, text string) error {
	err := runOracle(ctx, value(text, "ORACLE_URL"), "SELECT count(*) FROM "+oraclestandin.Schema+".orders")
	if refusal, ok := errors.AsType[*network.OracleError](err); ok && slices.Contains(oracleRefusals, refusal.ErrCode) {
		return fmt.Errorf("%w: %w", errRefused, err)
	}
	return err
}

func runOracle(ctx context.Context, url, statement string) error {
	db, err := sql.Open("oracle", url)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	_, err = db.ExecContext(ctx, statement)
	return err
}
