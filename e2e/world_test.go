package e2e

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/lib/pq"

	"github.com/novatech/securevault/internal/pgserver"
)

// The owner of a test's PostgreSQL, of whom the programs under test know
// nothing, and the database of the guide.
const (
	superuser         = "postgres"
	superuserPassword = "known-to-the-test-alone"
	database          = "mydb"
)

// inventory is what the guide takes for granted: an administrator who is no
// superuser, and a table of his.
const inventory = `
	CREATE ROLE vault_admin LOGIN CREATEROLE PASSWORD 'initial-password';
	GRANT ALL ON SCHEMA public TO vault_admin;
	SET ROLE vault_admin;
	CREATE TABLE orders (id int PRIMARY KEY, item text);
	INSERT INTO orders VALUES (1, 'anvil'), (2, 'rocket');`

const pollDelay = 50 * time.Millisecond

// world is what surrounds one test: its folder, its PostgreSQL, its server and
// whatever else it started. Nothing of it is shared with another test, so that
// "no credential is left" can be told by counting.
type world struct {
	folder    string
	postgres  *pgserver.Server
	address   string              // host:port of the server, empty before it was started
	rootToken string              // of that server
	unsealKey string              // of that server
	processes map[string]*process // name → the one started last under it
}

func newWorld(folder string) *world {
	return &world{folder: folder, processes: make(map[string]*process)}
}

// close ends everything, the agent before the server before the database.
func (w *world) close() error {
	var errs []error
	server := w.processes[serverName]
	for name, p := range w.processes {
		if name != serverName {
			errs = append(errs, p.stop())
		}
	}
	if server != nil {
		errs = append(errs, server.stop())
	}
	if w.postgres != nil {
		errs = append(errs, w.postgres.Stop())
	}
	return errors.Join(errs...)
}

// start starts a program in the background under a name.
func (w *world) start(name string, env []string, args ...string) error {
	if p, ok := w.processes[name]; ok {
		if _, over := p.exitCode(); !over {
			return fmt.Errorf("%q is running already", name)
		}
	}
	path, err := exec.LookPath(args[0])
	if err != nil {
		return err
	}
	command := exec.Command(path, args[1:]...)
	command.Dir, command.Env = w.folder, env
	p, err := startProcess(command, filepath.Join(w.folder, name))
	if err != nil {
		return err
	}
	w.processes[name] = p
	return nil
}

func (w *world) process(name string) (*process, error) {
	if p, ok := w.processes[name]; ok {
		return p, nil
	}
	return nil, fmt.Errorf("no process was started as %q", name)
}

const serverName = "server"

// startTimeout is how long a server, or a database, may take until it is ready.
const startTimeout = time.Minute

// startServer starts the dev server, and returns once it listens. One that is
// started again gets the address of the one before.
func (w *world) startServer(env []string, flags ...string) error {
	address := w.address
	if address == "" {
		address = "127.0.0.1:0"
	}
	args := append([]string{serverProgram, "-dev", "-dev-listen-address=" + address, "-log-level=trace"}, flags...)
	if err := w.start(serverName, env, args...); err != nil {
		return err
	}
	p := w.processes[serverName]
	banner := regexp.MustCompile(`(?s)VAULT_ADDR=http://(\S+)\n.*Unseal Key: (\S+)\n.*Root Token: (\S+)\n`)
	for deadline := time.Now().Add(startTimeout); ; {
		text, err := os.ReadFile(p.out)
		if err != nil {
			return err
		}
		if found := banner.FindSubmatch(text); found != nil {
			w.address, w.unsealKey, w.rootToken = string(found[1]), string(found[2]), string(found[3])
			return nil
		}
		if code, over := p.exitCode(); over {
			log, _ := os.ReadFile(p.log)
			return fmt.Errorf("the server ended with %d: %s", code, log)
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("the server says no address and root token within %s: %s", startTimeout, text)
		}
		time.Sleep(pollDelay)
	}
}

const (
	targetName = "target"
	// targetRefused is the exit code of a login that the database refuses.
	targetRefused = 3
)

// awaitTarget returns what the database says of itself once it is ready.
func (w *world) awaitTarget() (map[string]string, error) {
	p := w.processes[targetName]
	for deadline := time.Now().Add(startTimeout); ; time.Sleep(pollDelay) {
		text, err := os.ReadFile(p.out)
		if err != nil {
			return nil, err
		}
		if told, ready := strings.CutSuffix(string(text), "ready\n"); ready {
			variables := map[string]string{}
			for line := range strings.Lines(told) {
				name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
				variables[name] = value
			}
			return variables, nil
		}
		if code, over := p.exitCode(); over || time.Now().After(deadline) {
			log, _ := os.ReadFile(p.log)
			return nil, fmt.Errorf("the database is not ready (exit code %d): %s", code, log)
		}
	}
}

// env returns the environment of a program that finds the server, as root, and
// PostgreSQL.
func (w *world) env() []string {
	ours := slices.DeleteFunc(os.Environ(), func(variable string) bool {
		return strings.HasPrefix(variable, "VAULT_") || strings.HasPrefix(variable, "SECUREVAULT_")
	})
	return append(ours,
		"HOME="+w.folder, "VAULT_ADDR=http://"+w.address, "VAULT_TOKEN="+w.rootToken,
		"PGHOST="+w.postgres.Host(), "PGPORT="+strconv.Itoa(w.postgres.Port))
}

// startPostgres starts a PostgreSQL with what the guide takes for granted.
func (w *world) startPostgres(ctx context.Context) error {
	server, err := pgserver.Start(ctx, pgserver.Config{Superuser: superuser, Password: superuserPassword, Database: database})
	if err != nil {
		return err
	}
	w.postgres = server
	return server.Exec(ctx, database, inventory)
}

// login logs in to PostgreSQL and runs a statement. It reports false if
// PostgreSQL refuses the account, or the statement to the account; any other
// failure is an error.
func (w *world) login(user, password, statement string) (bool, error) {
	_, err := w.query(user, password, statement)
	if refusal, ok := errors.AsType[*pq.Error](err); ok {
		if refusal.Code.Class().Name() == "invalid_authorization_specification" || refusal.Code.Name() == "insufficient_privilege" {
			return false, nil
		}
	}
	return err == nil, err
}

// query returns the rows of a statement, one a line, columns apart by a tab.
func (w *world) query(user, password, statement string) (string, error) {
	if w.postgres == nil {
		return "", errors.New("there is no PostgreSQL: start one with the command postgres")
	}
	db, err := sql.Open("postgres", w.postgres.URL(user, password, database))
	if err != nil {
		return "", err
	}
	defer func() { _ = db.Close() }()
	rows, err := db.Query(statement)
	if err != nil {
		return "", err
	}
	defer func() { _ = rows.Close() }()
	columns, err := rows.Columns()
	if err != nil {
		return "", err
	}
	var lines []string
	for rows.Next() {
		cells := make([]sql.NullString, len(columns))
		targets := make([]any, len(columns))
		for i := range cells {
			targets[i] = &cells[i]
		}
		if err := rows.Scan(targets...); err != nil {
			return "", err
		}
		var line []string
		for _, cell := range cells {
			line = append(line, cell.String)
		}
		lines = append(lines, strings.Join(line, "\t"))
	}
	return strings.Join(lines, "\n"), rows.Err()
}

// admits tells whether PostgreSQL has a role that may log in. One that is being
// revoked may not, a moment before it is gone.
func (w *world) admits(user string) (bool, error) {
	found, err := w.query(superuser, superuserPassword,
		fmt.Sprintf(`SELECT 1 FROM pg_roles WHERE rolname = %s AND rolcanlogin AND coalesce(rolvaliduntil > now(), true)`, pq.QuoteLiteral(user)))
	return found != "", err
}

// issuedRoles returns the names of the issued roles that PostgreSQL has.
func (w *world) issuedRoles() ([]string, error) {
	names, err := w.query(superuser, superuserPassword, `SELECT rolname FROM pg_roles WHERE rolname LIKE 'v-%'`)
	return strings.Fields(names), err
}

// parseSignal reads the name of a signal.
func parseSignal(name string) (syscall.Signal, error) {
	signals := map[string]syscall.Signal{
		"SIGTERM": syscall.SIGTERM, "SIGINT": syscall.SIGINT, "SIGHUP": syscall.SIGHUP,
		"SIGKILL": syscall.SIGKILL, "SIGSTOP": syscall.SIGSTOP, "SIGCONT": syscall.SIGCONT,
		"SIGUSR1": syscall.SIGUSR1,
	}
	if s, ok := signals[name]; ok {
		return s, nil
	}
	return 0, fmt.Errorf("unknown signal %q", name)
}
