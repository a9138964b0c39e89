package database

import (
	"context"
	"os"
	"strings"
	"testing"

	"github.com/hashicorp/vault/sdk/logical"
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

// The guide's two roles, as it prints them: nothing ends the first statement.
const (
	guideReadonly = `CREATE ROLE "{{name}}" WITH LOGIN PASSWORD '{{password}}' VALID UNTIL 'infinity'
		GRANT SELECT ON ALL TABLES IN SCHEMA public TO "{{name}}";`
	guideReadwrite = `CREATE ROLE "{{name}}" WITH LOGIN PASSWORD '{{password}}' VALID UNTIL 'infinity'
		GRANT ALL PRIVILEGES ON ALL TABLES IN SCHEMA public TO "{{name}}";`
	guideRevocation = `DROP ROLE IF EXISTS "{{name}}";`
)

// newShop returns a database with two tables.
func newShop(t *testing.T) string {
	t.Helper()
	database := server.NewDatabase(t)
	server.Exec(t, database, `CREATE TABLE orders (id int); INSERT INTO orders VALUES (1); CREATE TABLE customers (id int);
		GRANT CREATE ON SCHEMA public TO public`)
	return database
}

func superuserConfig(database string) map[string]any {
	return map[string]any{
		"plugin_name":    "postgresql-database-plugin",
		"connection_url": server.Template(database),
		"allowed_roles":  "*",
		"username":       postgrestest.Superuser,
		"password":       postgrestest.Password,
	}
}

func readonlyRole() map[string]any {
	return map[string]any{
		"db_name":               "shop",
		"creation_statements":   guideReadonly,
		"revocation_statements": guideRevocation,
		"default_ttl":           "1h",
		"max_ttl":               "24h",
	}
}

// mountShop mounts the engine with the config "shop" and the role "app".
func mountShop(t *testing.T) (*enginetest.Mount, string) {
	t.Helper()
	database := newShop(t)
	mount := enginetest.NewMount(t, Factory)
	mount.MustWrite(t, "config/shop", superuserConfig(database))
	mount.MustWrite(t, "roles/app", readonlyRole())
	return mount, database
}

// with returns a copy of data with other values; a nil value removes the field.
func with(data map[string]any, changes map[string]any) map[string]any {
	changed := map[string]any{}
	for key, value := range data {
		changed[key] = value
	}
	for key, value := range changes {
		if changed[key] = value; value == nil {
			delete(changed, key)
		}
	}
	return changed
}

func run(ctx context.Context, conn *pgx.Conn, statement string) error {
	_, err := conn.Exec(ctx, statement)
	return err
}

func roleExists(t *testing.T, name string) bool {
	t.Helper()
	return postgrestest.Scalar[bool](t, server, postgrestest.Database, "SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)", name)
}

func usernameOf(lease *enginetest.Lease) string { return lease.Data["username"].(string) }
func passwordOf(lease *enginetest.Lease) string { return lease.Data["password"].(string) }

// wantError checks what an error says and that it holds no secret.
func wantError(t *testing.T, err error, says string, secrets ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("succeeded, want an error that says %q", says)
	}
	if !strings.Contains(err.Error(), says) {
		t.Errorf("error %q does not say %q", err, says)
	}
	for _, secret := range append(secrets, postgrestest.Password) {
		if strings.Contains(err.Error(), secret) {
			t.Errorf("error %q gives a secret away", err)
		}
	}
}

// statusOf returns the HTTP status an error stands for.
func statusOf(t *testing.T, response *logical.Response, err error) int {
	t.Helper()
	if response.IsError() {
		return 400
	}
	coded, ok := err.(logical.HTTPCodedError)
	if !ok {
		t.Fatalf("error %v has no status", err)
	}
	return coded.Code()
}
