// Package app is the demo app: a program that uses a database all the time and
// never fails a query while its credential is replaced.
//
// It knows nothing of SecureVault. It reads a username and a password from a
// file, and when it gets SIGHUP it reads the file again, opens a new pool
// ([pool.replace]), and closes the old one once its last query is done. That
// is all an app needs. [Run] is the program; pool.go is the part to copy.
package app

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"os/signal"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	workers  = 4
	interval = 50 * time.Millisecond // between two queries of a worker
)

// The messages of the app's log, one JSON object a line.
const (
	Started   = "started"      // waits for a credential if there is none yet
	Signalled = "signalled"    // SIGHUP came
	Connected = "connected"    // user: who we are, as PostgreSQL says
	Failed    = "query failed" // error
	Kept      = "kept the old credential"
	Stopped   = "stopped" // queries, failures: totals
)

// settings are the flags.
type settings struct {
	credential string // file with the username and the password, in JSON
	pidfile    string
	database   *url.URL // without a user
}

func parse(args []string) (settings, error) {
	var s settings
	set := flag.NewFlagSet("app", flag.ContinueOnError)
	set.SetOutput(io.Discard) // errors are reported once, by the caller
	set.StringVar(&s.credential, "credential", "db.json", "`file` with username and password")
	set.StringVar(&s.pidfile, "pidfile", "app.pid", "`file` for the process id")
	set.Func("database", "`URL` of the database, without a user", func(text string) (err error) {
		s.database, err = url.Parse(text)
		return err
	})
	if err := set.Parse(args); err != nil {
		return s, err
	}
	if s.database == nil {
		return s, errors.New("no database is named; give -database=postgresql://HOST:PORT/NAME")
	}
	return s, nil
}

// app is the running app.
type app struct {
	settings
	log               *slog.Logger
	pool              pool
	queries, failures atomic.Int64
}

// Run runs the app until ctx ends.
func Run(ctx context.Context, args []string, log *slog.Logger) error {
	s, err := parse(args)
	if err != nil {
		return err
	}
	a := &app{settings: s, log: log}
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	// Only now may anybody signal us: an unexpected SIGHUP would end the app.
	if err := os.WriteFile(a.pidfile, []byte(strconv.Itoa(os.Getpid())+"\n"), 0o600); err != nil {
		return fmt.Errorf("writing the pidfile: %w", err)
	}
	defer func() { _ = os.Remove(a.pidfile) }()
	log.Info(Started)
	a.reload(ctx)
	var working sync.WaitGroup
	for range workers {
		working.Go(func() { a.work(ctx) })
	}
	for {
		select {
		case <-hangups:
			log.Info(Signalled)
			a.reload(ctx)
		case <-ctx.Done():
			working.Wait()
			a.pool.close()
			log.Info(Stopped, "queries", a.queries.Load(), "failures", a.failures.Load())
			return nil
		}
	}
}

// reload connects with the credential of the file. If that fails, the app goes
// on with the one it has.
func (a *app) reload(ctx context.Context) {
	content, err := os.ReadFile(a.credential)
	if errors.Is(err, fs.ErrNotExist) {
		return // not yet: SIGHUP comes with it
	}
	var credential struct{ Username, Password string }
	if err == nil {
		err = json.Unmarshal(content, &credential)
	}
	if err == nil {
		address := *a.database
		address.User = url.UserPassword(credential.Username, credential.Password)
		err = a.pool.replace(ctx, address.String())
	}
	if err != nil {
		a.log.Error(Kept, "error", err.Error())
		return
	}
	a.log.Info(Connected, "user", a.pool.user)
}

// work is one worker: a query, a pause, and again.
func (a *app) work(ctx context.Context) {
	pause := time.NewTicker(interval)
	defer pause.Stop()
	for {
		select {
		case <-pause.C:
		case <-ctx.Done():
			return
		}
		// A query under way when the app stops is finished, not cut off.
		switch err := a.pool.query(context.WithoutCancel(ctx)); {
		case errors.Is(err, errNoPool):
		case err != nil:
			a.failures.Add(1)
			a.log.Error(Failed, "error", err.Error())
		default:
			a.queries.Add(1)
		}
	}
}
