package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/novatech/securevault/server/config"
	"github.com/novatech/securevault/server/core"
	"github.com/novatech/securevault/server/core/seal"
	"github.com/novatech/securevault/server/store"
)

// exclusiveTimeout is how long a storage of several servers may take to let
// this program alone write to it.
const exclusiveTimeout = 10 * time.Second

// migrate copies everything from one storage to another, while no server uses
// either.
func migrate(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var path string
	flags := flag.NewFlagSet("securevault-server migrate", flag.ContinueOnError)
	flags.StringVar(&path, "config", "", "`file` with the stanzas storage_source and storage_destination")
	if code, done := parseOffline(flags, args, 0, stdout, stderr); done {
		return code
	}
	m, err := config.LoadMigration(path)
	if err != nil {
		reportProblems(stderr, err)
		return exitUsage
	}
	copied, err := copyStorage(ctx, m)
	if err != nil {
		fmt.Fprintf(stderr, "securevault-server: migrating: %v\n", err)
		return exitFailed
	}
	fmt.Fprintf(stdout, "Success! Copied %d entries from %q to %q.\n", copied, m.Source.Type, m.Destination.Type)
	return exitOK
}

// parseOffline reads the flags of a subcommand; done tells that there is
// nothing to do but end with the code.
func parseOffline(flags *flag.FlagSet, args []string, arguments int, stdout, stderr io.Writer) (code int, done bool) {
	flags.SetOutput(io.Discard) // errors are reported once, below
	err := flags.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprintf(stdout, "Usage: %s -config=FILE%s\n", flags.Name(), map[bool]string{true: " BACKUP"}[arguments == 1])
		flags.SetOutput(stdout)
		flags.PrintDefaults()
		return exitOK, true
	case err == nil && flags.NArg() != arguments:
		err = fmt.Errorf("%d arguments, want %d", flags.NArg(), arguments)
	case err == nil && flags.NFlag() == 0: // -config is the only one
		err = errors.New("-config is missing")
	}
	if err != nil {
		fmt.Fprintf(stderr, "securevault-server: %v; see %s -help\n", err, flags.Name())
		return exitUsage, true
	}
	return exitOK, false
}

func copyStorage(ctx context.Context, m *config.Migration) (copied int, err error) {
	from, release, err := openAlone(ctx, m.Source)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, release()) }()
	to, releaseTo, err := openAlone(ctx, m.Destination)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, releaseTo()) }()
	if keys, err := to.List(ctx, ""); err != nil || len(keys) > 0 {
		return 0, errors.Join(err, fmt.Errorf("%s: the destination is not empty: use an empty one", m.Destination.At))
	}
	err = seal.Copy(ctx, from, func(key string, entry []byte) error {
		copied++
		return to.Put(ctx, key, entry)
	})
	if err == nil && copied == 0 {
		err = fmt.Errorf("%s: the source is empty: check where it is", m.Source.At)
	}
	return copied, err
}

// openAlone opens a storage that no server may use meanwhile. release must be
// called in the end.
func openAlone(ctx context.Context, s *config.Storage) (opened store.Store, release func() error, err error) {
	opened, closer, err := openStore(ctx, s)
	if err != nil {
		return nil, nil, err
	}
	elector, shared := opened.(store.Elector)
	if !shared {
		return opened, closer.Close, nil
	}
	waiting, cancel := context.WithTimeout(ctx, exclusiveTimeout)
	defer cancel()
	term, err := elector.Elect(waiting, store.Node{Version: version})
	if errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("%s: a server is active on this storage: stop all of its servers first", s.At)
	}
	if err != nil {
		return nil, nil, errors.Join(err, closer.Close())
	}
	return opened, func() error { return errors.Join(term.Resign(context.WithoutCancel(ctx)), closer.Close()) }, nil
}

// restore replaces everything in the storage of a configuration by a backup,
// while no server uses it.
func restore(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var files paths
	flags := flag.NewFlagSet("securevault-server restore", flag.ContinueOnError)
	flags.Var(&files, "config", configUsage)
	if code, done := parseOffline(flags, args, 1, stdout, stderr); done {
		return code
	}
	f, err := config.Load(files...)
	if err != nil {
		reportProblems(stderr, err)
		return exitUsage
	}
	if f.Storage == nil || f.Storage.Type == "inmem" {
		fmt.Fprintln(stderr, "securevault-server: the configuration has no storage that lasts; write a storage stanza")
		return exitUsage
	}
	if err := restoreStorage(ctx, f.Storage, flags.Arg(0)); err != nil {
		fmt.Fprintf(stderr, "securevault-server: restoring: %v\n", err)
		return exitFailed
	}
	fmt.Fprintf(stdout, "Success! Restored %q. Start the server and unseal it with the keys of the backup.\n", f.Storage.Type)
	return exitOK
}

func restoreStorage(ctx context.Context, s *config.Storage, path string) (err error) {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	if err := core.CheckBackup(file); err != nil {
		return err
	}
	into, release, err := openAlone(ctx, s)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, release()) }()
	return core.ReadBackup(ctx, into, file)
}
