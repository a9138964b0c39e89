package e2e

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/novatech/securevault/server/engines/enginetest/mariadbtest"
	"github.com/novatech/securevault/server/engines/enginetest/postgrestest"
	"github.com/novatech/securevault/server/engines/enginetest/redistest"
)

const (
	// rotationCrashes is how often the server is killed for each database.
	rotationCrashes = 6
	// longestRotation is how long it then rotates at most.
	longestRotation = 600 * time.Millisecond
)

// The passwords that the admin and the user of the static role begin with.
const (
	firstOfAdmin  = "first-of-vault-admin"
	firstOfReport = "first-of-report"
)

// rotated is a database with the users vault_admin and report.
type rotated struct {
	config   map[string]any
	creation string
	login    func(ctx context.Context, username, password string) error
	users    func(t *testing.T) []string // those that were issued
}

// TestAKilledServerLosesNoPassword kills the server at random instants while it
// rotates the admin's password and a static role's, and issues. After each start it
// lets itself in, tells a password that logs in, and has a lease for each user. When
// it is killed once more, right after its config was deleted, its users can still be
// ended.
func TestAKilledServerLosesNoPassword(t *testing.T) {
	seed := number(t, "SECUREVAULT_CRASH_SEED", rand.Uint64())
	t.Logf("SECUREVAULT_CRASH_SEED=%d", seed)
	for name, start := range map[string]func(*testing.T) rotated{
		"postgresql": rotatedPostgres, "mariadb": rotatedMariaDB, "redis": rotatedRedis,
	} {
		t.Run(name, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, seed))
			database := start(t)
			s := newServer(t)
			database.mount(t, s)
			told := map[string]bool{firstOfAdmin: true, firstOfReport: true}
			rotations := 0
			for i := range rotationCrashes {
				life := time.Duration(random.Int64N(int64(longestRotation)))
				killer := time.AfterFunc(life, s.process.Stop)
				rotations += s.rotate()
				killer.Stop()
				s.kill()
				s.start(t)
				if err := database.settle(t, s, told); err != nil {
					t.Fatalf("kill %d after %s: %v\n%s", i+1, life, err, s.process.Log())
				}
			}
			if rotations == 0 {
				t.Error("the server was killed before it rotated anything")
			}
			for password := range told {
				if strings.Contains(s.process.Log(), password) {
					t.Error("a password is in the log")
				}
			}
			database.retire(t, s)
		})
	}
}

func (d rotated) mount(t *testing.T, s *server) {
	t.Helper()
	config := maps.Clone(d.config)
	maps.Copy(config, map[string]any{"username": "vault_admin", "password": firstOfAdmin, "allowed_roles": "*"})
	s.must(t, "PUT", "sys/mounts/database", map[string]any{"type": "database"})
	s.must(t, "PUT", "database/config/shop", config)
	s.must(t, "PUT", "database/roles/app", map[string]any{"db_name": "shop", "creation_statements": d.creation})
	s.must(t, "PUT", "database/static-roles/report", map[string]any{"db_name": "shop", "username": "report", "rotation_period": "5s"})
}

// rotate has clients rotate both passwords, and issue, until the server is gone. It
// returns how many rotations were answered.
func (s *server) rotate() int {
	var rotations atomic.Int64
	var group sync.WaitGroup
	for path, method := range map[string]string{
		"database/rotate-root/shop": "PUT", "database/rotate-role/report": "PUT", "database/creds/app": "GET",
	} {
		group.Go(func() {
			c, err := dial(s.address, s.token)
			if err != nil {
				return // it is gone already
			}
			defer c.close()
			// A login between the database's change of the admin's password and
			// the server's is refused.
			for refused := new(refusal); err == nil || errors.As(err, &refused); {
				if _, err = c.send(method, path, ""); err == nil && method == "PUT" {
					rotations.Add(1)
				}
			}
		})
	}
	group.Wait()
	return int(rotations.Load())
}

// settle returns an error if the database and the server do not come together, and
// adds the passwords that the server tells.
func (d rotated) settle(t *testing.T, s *server, told map[string]bool) error {
	t.Helper()
	c := s.dial(t)
	err := eventually(func() error {
		_, err := c.send("GET", "database/creds/app", "")
		return err
	})
	if err != nil {
		return fmt.Errorf("issuing: %w", err)
	}
	err = eventually(func() error {
		answer, err := c.send("GET", "database/static-creds/report", "")
		if err != nil {
			return err
		}
		password := field(answer, "password")
		told[password] = true
		return d.login(t.Context(), "report", password)
	})
	if err != nil {
		return fmt.Errorf("logging in with the password that is told: %w", err)
	}
	return eventually(func() error {
		if leases, users := leasesOf(t, c), d.users(t); len(leases) != len(users) {
			return fmt.Errorf("there are %d leases and %d users", len(leases), len(users))
		}
		return nil
	})
}

// retire deletes the config, and has the next server end what it has issued.
func (d rotated) retire(t *testing.T, s *server) {
	t.Helper()
	s.must(t, "DELETE", "database/static-roles/report", nil)
	s.must(t, "DELETE", "database/config/shop", nil)
	s.kill()
	s.start(t)
	if len(d.users(t)) == 0 {
		t.Error("no user is left to end, the test proves nothing")
	}
	s.must(t, "PUT", "sys/leases/revoke-prefix/database", nil)
	if err := eventually(func() error {
		if users := d.users(t); len(users) > 0 {
			return fmt.Errorf("%q are left of a config that is deleted", users)
		}
		return nil
	}); err != nil {
		t.Errorf("%v\n%s", err, s.process.Log())
	}
}

func rotatedPostgres(t *testing.T) rotated {
	t.Helper()
	postgres := startPostgres(t)
	postgres.Exec(t, postgrestest.Database, "CREATE ROLE vault_admin LOGIN CREATEROLE PASSWORD '"+firstOfAdmin+"'")
	postgres.Exec(t, postgrestest.Database, "CREATE ROLE report LOGIN PASSWORD '"+firstOfReport+"'")
	superuser := postgres.Connect(t, postgrestest.Superuser, postgrestest.Password, postgrestest.Database)
	return rotated{
		config: map[string]any{
			"plugin_name": "postgresql-database-plugin", "connection_url": postgres.Template(postgrestest.Database),
		},
		creation: login,
		login: func(ctx context.Context, username, password string) error {
			session, err := pgx.Connect(ctx, postgres.URL(username, password, postgrestest.Database))
			if err == nil {
				err = session.Close(ctx)
			}
			return err
		},
		users: func(t *testing.T) []string { return credentialsOf(t, superuser) },
	}
}

func rotatedMariaDB(t *testing.T) rotated {
	t.Helper()
	mariadb, err := mariadbtest.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(mariadb.Stop)
	mariadb.Exec(t, "CREATE USER vault_admin@'%' IDENTIFIED BY '"+firstOfAdmin+"'; GRANT ALL ON *.* TO vault_admin@'%' WITH GRANT OPTION")
	mariadb.Exec(t, "CREATE USER report@'%' IDENTIFIED BY '"+firstOfReport+"'")
	return rotated{
		config: map[string]any{
			"plugin_name": "mysql-database-plugin", "connection_url": "{{username}}:{{password}}@tcp(" + mariadb.Address() + ")/",
		},
		creation: "CREATE USER '{{name}}'@'%' IDENTIFIED BY '{{password}}'",
		login: func(ctx context.Context, username, password string) error {
			session, err := mariadb.Login(ctx, username, password, "")
			if err == nil {
				err = session.Close()
			}
			return err
		},
		users: func(t *testing.T) []string {
			return mariadbtest.Column[string](t, mariadb, "SELECT User FROM mysql.user WHERE User LIKE 'v-%'")
		},
	}
}

func rotatedRedis(t *testing.T) rotated {
	t.Helper()
	redis, err := redistest.Start(redistest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(redis.Stop)
	redis.Do(t, "ACL", "SETUSER", "vault_admin", "on", ">"+firstOfAdmin, "+@all")
	redis.Do(t, "ACL", "SETUSER", "report", "on", ">"+firstOfReport)
	return rotated{
		config: map[string]any{
			"plugin_name": "redis-database-plugin", "connection_url": "redis://{{username}}:{{password}}@" + redis.Address(),
		},
		creation: `["~app:*", "+@read"]`,
		login: func(ctx context.Context, username, password string) error {
			_, end, err := redis.Login(ctx, username, password)
			if err == nil {
				end()
			}
			return err
		},
		users: func(t *testing.T) []string {
			return slices.DeleteFunc(redis.Users(t), func(name string) bool { return !strings.HasPrefix(name, "v-") })
		},
	}
}
