package main

import (
	"context"
	"crypto/rand"
	"database/sql"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/lib/pq"

	"github.com/novatech/securevault/internal/pgserver"
)

const (
	superuser  = "postgres"
	admin      = "vault_admin" // who makes roles, as in the guide
	adminFirst = "initial-password"
	database   = "mydb"

	startLimit   = 15 * time.Second // of one program
	commandLimit = 15 * time.Second // of one typed command
)

// props are the files that the folder of the demo starts with.
//
//go:embed agent.hcl db.ctmpl demo-app.hcl db-password-policy.hcl
var props embed.FS

// stage is what the play is played on: a folder, a PostgreSQL, a server, and
// the processes that join them. Everything is gone after close.
type stage struct {
	bin, dir  string
	postgres  *pgserver.Server
	superuser *sql.DB
	address   string // of the server, a URL
	rootToken string
	processes []*process // in the order of their start
}

// newStage makes the folder. It starts nothing.
func newStage(bin string) (*stage, error) {
	bin, err := filepath.Abs(bin)
	if err != nil {
		return nil, err
	}
	for _, program := range []string{"securevault", "securevault-server"} {
		if _, err := exec.LookPath(filepath.Join(bin, program)); err != nil {
			return nil, fmt.Errorf("looking for %s: %w; run make build, or name its folder with -bin", program, err)
		}
	}
	dir, err := os.MkdirTemp("", "securevault-demo-")
	if err != nil {
		return nil, err
	}
	s := &stage{bin: bin, dir: dir}
	if err := s.lay(); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

// lay puts the files into the folder, which the account that PostgreSQL runs
// as may pass through.
func (s *stage) lay() error {
	if err := os.Chmod(s.dir, 0o711); err != nil {
		return err
	}
	entries, err := props.ReadDir(".")
	if err != nil {
		return err
	}
	for _, entry := range entries {
		content, err := props.ReadFile(entry.Name())
		if err != nil {
			return err
		}
		if err := os.WriteFile(s.path(entry.Name()), content, 0o600); err != nil {
			return err
		}
	}
	return nil
}

func (s *stage) path(name string) string { return filepath.Join(s.dir, name) }

// close ends every process, the last one first, and removes the folder.
func (s *stage) close() error {
	var errs []error
	for len(s.processes) > 0 {
		errs = append(errs, s.end(s.processes[len(s.processes)-1]))
	}
	if s.superuser != nil {
		errs = append(errs, s.superuser.Close())
	}
	if s.postgres != nil {
		errs = append(errs, s.postgres.Stop())
	}
	return errors.Join(append(errs, os.RemoveAll(s.dir))...)
}

// end stops one process before the others.
func (s *stage) end(p *process) error {
	s.processes = slices.DeleteFunc(s.processes, func(other *process) bool { return other == p })
	return p.stop()
}

// startPostgres starts PostgreSQL with the database of the guide and its
// admin, who is no superuser: to make and end roles takes no more than this.
func (s *stage) startPostgres(ctx context.Context) error {
	password := rand.Text()
	server, err := pgserver.Start(ctx, pgserver.Config{
		Dir: s.path("postgresql"), Superuser: superuser, Password: password, Database: database,
	})
	if err != nil {
		return err
	}
	s.postgres = server
	if s.superuser, err = sql.Open("postgres", server.URL(superuser, password, database)); err != nil {
		return err
	}
	_, err = s.superuser.ExecContext(ctx, `
		CREATE ROLE vault_admin LOGIN CREATEROLE PASSWORD 'initial-password';
		GRANT pg_signal_backend TO vault_admin;
		ALTER DATABASE mydb OWNER TO vault_admin;
		SET ROLE vault_admin;
		CREATE TABLE orders (id int PRIMARY KEY, item text NOT NULL);
		INSERT INTO orders VALUES (1, 'tea'), (2, 'honey'), (3, 'a lemon');
		RESET ROLE`)
	if err != nil {
		return fmt.Errorf("preparing the database: %w", err)
	}
	return nil
}

// roles returns the roles of PostgreSQL that are neither its own nor ours.
func (s *stage) roles(ctx context.Context) ([]string, error) {
	const query = `SELECT coalesce(array_agg(rolname::text), '{}') FROM pg_roles
		WHERE rolname NOT LIKE 'pg\_%' AND rolname NOT IN ($1, $2)`
	var names pq.StringArray
	if err := s.superuser.QueryRowContext(ctx, query, superuser, admin).Scan(&names); err != nil {
		return nil, fmt.Errorf("asking PostgreSQL for its roles: %w", err)
	}
	return names, nil
}

// login tries to log in and make a query. refusal is PostgreSQL's word if it
// does not accept the credential; an error means that it did not judge it.
func (s *stage) login(ctx context.Context, user, password string) (refusal string, err error) {
	db, err := sql.Open("postgres", s.postgres.URL(user, password, database))
	if err != nil {
		return "", err
	}
	defer func() { _ = db.Close() }()
	err = db.PingContext(ctx)
	// Class 28: invalid authorization specification.
	if e, ok := errors.AsType[*pq.Error](err); ok && e.Code.Class() == "28" {
		return e.Message, nil
	}
	return "", err
}

// credential reads the app's file.
func (s *stage) credential() (user, password string, err error) {
	var c struct{ Username, Password string }
	content, err := os.ReadFile(s.path("db.json"))
	if err == nil {
		err = json.Unmarshal(content, &c)
	}
	if err != nil {
		return "", "", fmt.Errorf("reading the app's credential: %w", err)
	}
	return c.Username, c.Password, nil
}

// command prepares a program to run in the folder, with an environment that
// holds nothing of the caller's but its language.
func (s *stage) command(ctx context.Context, program string, args ...string) *exec.Cmd {
	command := exec.CommandContext(ctx, program, args...)
	command.Dir = s.dir
	command.Env = []string{
		"PATH=" + s.bin + ":" + os.Getenv("PATH"), "HOME=" + s.dir, "LANG=" + os.Getenv("LANG"),
		"VAULT_ADDR=" + s.address,
	}
	return command
}

// startServer starts securevault-server and returns once it has said where it
// listens and what the root token is.
func (s *stage) startServer(ctx context.Context, lost func(error)) error {
	banner := make(chan string, 32) // more lines than there are before the last we need
	_, err := s.start("securevault-server", lost, func(line []byte) {
		select {
		case banner <- string(line):
		default:
		}
	}, "-dev", "-dev-listen-address=127.0.0.1:0")
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, startLimit, errors.New("the server did not say where it listens"))
	defer cancel()
	for s.address == "" || s.rootToken == "" {
		select {
		case line := <-banner:
			if _, address, ok := strings.Cut(line, "VAULT_ADDR="); ok {
				s.address = strings.TrimSpace(address)
			}
			if _, token, ok := strings.Cut(line, "Root Token:"); ok {
				s.rootToken = strings.TrimSpace(token)
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// start starts a program that plays until it is ended; lost is called with the
// reason if it ends by itself.
func (s *stage) start(name string, lost func(error), hear func(line []byte), args ...string) (*process, error) {
	program := filepath.Join(s.bin, name)
	if name == playApp {
		self, err := os.Executable()
		if err != nil {
			return nil, err
		}
		program, args = self, append([]string{playApp}, args...)
	}
	p, err := launch(name, s.command(context.Background(), program, args...), hear)
	if err != nil {
		return nil, err
	}
	s.processes = append(s.processes, p)
	go p.guard(lost)
	return p, nil
}

// shell runs a command as the shell takes it, with the root token, and returns
// what it printed.
func (s *stage) shell(ctx context.Context, line string) (string, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, commandLimit, fmt.Errorf("it took longer than %s", commandLimit))
	defer cancel()
	command := s.command(ctx, "sh", "-c", line)
	command.Env = append(command.Env, "VAULT_TOKEN="+s.rootToken)
	isolate(command)
	output, err := command.CombinedOutput()
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return string(output), err
}
