package app

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/novatech/securevault/internal/pgserver"
)

func TestNoQueryFailsWhileThePoolIsReplaced(t *testing.T) {
	server, err := pgserver.Start(t.Context(), pgserver.Config{Superuser: "admin", Password: "p", Database: "shop"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Stop(); err != nil {
			t.Error(err)
		}
	})
	if err := server.Exec(t.Context(), "shop", "CREATE TABLE orders (id int)"); err != nil {
		t.Fatal(err)
	}
	address := server.URL("admin", "p", "shop")

	var p pool
	if err := p.query(t.Context()); !errors.Is(err, errNoPool) {
		t.Errorf("a query without a credential: got %v, want %v", err, errNoPool)
	}
	if err := p.replace(t.Context(), address); err != nil {
		t.Fatal(err)
	}
	if err := p.replace(t.Context(), server.URL("admin", "wrong", "shop")); err == nil {
		t.Error("a wrong password was accepted")
	}
	if p.user != "admin" {
		t.Errorf("connected as %q, want %q", p.user, "admin")
	}
	ctx, stop := context.WithCancel(t.Context())
	var asking sync.WaitGroup
	var queries atomic.Int64
	for range workers {
		asking.Go(func() {
			for ctx.Err() == nil {
				if err := p.query(t.Context()); err != nil {
					t.Error(err)
					return
				}
				queries.Add(1)
			}
		})
	}
	for range 20 {
		if err := p.replace(t.Context(), address); err != nil {
			t.Error(err)
		}
	}
	stop()
	asking.Wait()
	p.close()
	if queries.Load() == 0 {
		t.Error("no query was made")
	}
}

func TestFlagsThatMakeNoSenseAreRefused(t *testing.T) {
	tests := map[string]struct {
		args []string
		want string
	}{
		"no database":        {nil, "give -database"},
		"an odd database":    {[]string{"-database=:"}, "missing protocol scheme"},
		"an unknown flag":    {[]string{"-databse=x"}, "not defined"},
		"no place for a pid": {[]string{"-database=postgresql://h/d", "-pidfile=/nowhere/app.pid"}, "writing the pidfile"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			err := Run(t.Context(), test.args, slog.New(slog.DiscardHandler))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want an error with %q", err, test.want)
			}
		})
	}
}

func TestAnAppWithoutAUsableCredentialWaitsAndEndsCleanly(t *testing.T) {
	dir := t.TempDir()
	pidfile, credential := filepath.Join(dir, "app.pid"), filepath.Join(dir, "db.json")
	args := []string{"-database=postgresql://127.0.0.1:1/d", "-pidfile=" + pidfile, "-credential=" + credential}
	for _, content := range []string{"", "not json"} {
		if err := os.WriteFile(credential, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 3*interval)
		var log bytes.Buffer
		err := Run(ctx, args, slog.New(slog.NewJSONHandler(&log, nil)))
		cancel()
		if err != nil {
			t.Fatal(err)
		}
		if want := `"queries":0,"failures":0`; !strings.Contains(log.String(), want) {
			t.Errorf("want %s in:\n%s", want, log.String())
		}
		if !strings.Contains(log.String(), Kept) {
			t.Errorf("the file that cannot be read is not logged:\n%s", log.String())
		}
		if _, err := os.Stat(pidfile); err == nil {
			t.Error("the pidfile is left")
		}
	}
}
