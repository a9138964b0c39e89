package database

import (
	"context"
	"os"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/novatech/securevault/server/engines/enginetest"
	"github.com/novatech/securevault/server/engines/enginetest/postgrestest"
)

var server *postgrestest.Server

func TestMain(m *testing.M) {
	server = postgrestest.MustStart()
	code := m.Run()
	server.Stop()
	os.Exit(code)
}

func TestPostgreSQLConforms(t *testing.T) {
	database := newShop(t)
	enginetest.Suite{
		Factory: Factory,
		Setup:   []enginetest.Write{{Path: "config/shop", Data: superuserConfig(database)}, {Path: "roles/app", Data: readonlyRole()}},
		Creds:   "creds/app",
		Login: func(ctx context.Context, data map[string]any) (enginetest.Session, error) {
			conn, err := pgx.Connect(ctx, server.URL(data["username"].(string), data["password"].(string), database))
			return session{conn}, err
		},
	}.Run(t)
}

type session struct{ conn *pgx.Conn }

func (s session) Allowed(ctx context.Context) error   { return run(ctx, s.conn, "SELECT * FROM orders") }
func (s session) Forbidden(ctx context.Context) error { return run(ctx, s.conn, "DELETE FROM orders") }
func (s session) Close()                              { _ = s.conn.Close(context.Background()) }

func run(ctx context.Context, conn *pgx.Conn, statement string) error {
	_, err := conn.Exec(ctx, statement)
	return err
}
