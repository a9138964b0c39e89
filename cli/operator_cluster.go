package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/hashicorp/vault/api"
)

// transferTime is how long a backup may take on its way.
const transferTime = time.Hour

// backupPath is where the server gives a backup, which may be large.
const backupPath = "sys/storage/backup"

func operatorStepDown() command {
	return command{
		usage:    "[options]",
		synopsis: "Let another server be active",
		about: "Makes the active server finish what is under way and stand by; another one takes\n" +
			"over. The server lets the others go first for ten seconds. Needs sudo on\n" +
			"sys/step-down.",
		examples: []string{"operator step-down"},
		run: func(ctx context.Context, s *session, _ []string) error {
			answer, err := s.put(ctx, "sys/step-down", nil)
			if err != nil {
				return err
			}
			return s.output.outcome(answer, "Success! The active server steps down.")
		},
	}
}

func operatorMembers() command {
	return command{
		usage:    "[options]",
		synopsis: "List the servers that share the storage",
		about:    "Lists the servers that share the storage, the active one first.",
		examples: []string{"operator members", "operator members -format=json"},
		run: func(ctx context.Context, s *session, _ []string) error {
			answer, err := s.get(ctx, "sys/ha-status", nil)
			if err != nil {
				return err
			}
			return s.output.members(answer)
		},
	}
}

// members prints a line for each server.
func (o *output) members(a *answer) error {
	if !o.forHumans() {
		return o.document(a.raw)
	}
	var state struct {
		Data struct {
			Nodes []struct {
				Hostname string `json:"hostname"`
				Address  string `json:"api_address"`
				Active   bool   `json:"active_node"`
				Version  string `json:"version"`
				Echo     string `json:"last_echo"`
			} `json:"nodes"`
		} `json:"data"`
	}
	if err := a.into(&state); err != nil {
		return err
	}
	rows := [][]string{{"Host Name", "API Address", "Active Node", "Version", "Last Echo"}}
	for _, n := range state.Data.Nodes {
		rows = append(rows, []string{n.Hostname, n.Address, fmt.Sprint(n.Active), n.Version, n.Echo})
	}
	o.table(rows)
	return nil
}

func operatorBackup() command {
	return command{
		usage:    "[options] FILE",
		synopsis: "Keep a backup of the server's storage in a file",
		about: "Writes everything that the server stores to a new file, mode 0600, while the\n" +
			"server goes on. It is encrypted as in the storage: to be of use it needs the\n" +
			"unseal keys, or the key service, of the server. Needs sudo on sys/storage/backup.",
		examples: []string{"operator backup vault-2026-11-23.backup"},
		minArgs:  1, maxArgs: 1,
		run: func(ctx context.Context, s *session, args []string) error {
			size, err := s.download(ctx, backupPath, args[0])
			if err != nil {
				return err
			}
			s.output.message("Success! Wrote %d bytes to %s", size, args[0])
			return nil
		},
	}
}

// download keeps what is at path in a new file, whole or not at all.
func (s *session) download(ctx context.Context, path, file string) (size int64, err error) {
	out, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, os.ErrExist) {
		return 0, badInput("choose another name, or remove it", "the file %q is there already", file)
	}
	if err != nil {
		return 0, badInput("name a file in a folder that you may write to", "making the file: %w", err)
	}
	read := func(ctx context.Context, l *api.Logical, path string) (*api.Response, error) {
		return l.ReadRawWithContext(ctx, path)
	}
	err = s.exchange(ctx, transferTime, http.MethodGet, path, read, func(_ string, body io.Reader) error {
		size, err = io.Copy(out, body)
		return err
	})
	err = errors.Join(err, closeSynced(out))
	if err != nil {
		return 0, errors.Join(err, os.Remove(file))
	}
	return size, nil
}

func closeSynced(f *os.File) error {
	err := f.Sync()
	return errors.Join(err, f.Close())
}

func operatorRestore() command {
	return command{
		usage:    "[options] FILE",
		synopsis: "Replace the server's storage by a backup",
		about: "Replaces everything that the server stores by a backup. The file is checked to its\n" +
			"end before anything changes. The server is sealed then; the keys of the time of\n" +
			"the backup unseal it. What was issued since is not known to it any more: revoke\n" +
			"that first. Needs sudo on sys/storage/restore. A server that does not run is\n" +
			"restored by securevault-server restore.",
		examples: []string{"operator restore vault-2026-11-23.backup"},
		minArgs:  1, maxArgs: 1,
		run: func(ctx context.Context, s *session, args []string) error {
			content, err := os.ReadFile(args[0])
			if err != nil {
				return badInput("name a file that operator backup has written", "reading the backup: %w", err)
			}
			write := func(ctx context.Context, l *api.Logical, path string) (*api.Response, error) {
				return l.WriteRawWithContext(ctx, path, content)
			}
			err = s.exchange(ctx, transferTime, http.MethodPut, "sys/storage/restore", write, func(string, io.Reader) error { return nil })
			if err != nil {
				return err
			}
			s.output.message("Success! The storage is that of the backup, and the server is sealed: unseal it with the keys of the backup.")
			return nil
		},
	}
}

// serverProgram is the one that opens storages; this one does not.
const serverProgram = "securevault-server"

func operatorMigrate() command {
	var config string
	return command{
		usage:    "-config=FILE",
		synopsis: "Copy a storage to another while no server runs",
		about: "Copies everything from the storage_source of a configuration to its\n" +
			"storage_destination, which must be empty. Stop all servers on both first. Runs\n" +
			serverProgram + ", which must be beside this program or in the PATH.",
		examples: []string{"operator migrate -config=migrate.hcl"},
		offline:  true,
		flags: func(set *flag.FlagSet) {
			set.StringVar(&config, "config", "", "`FILE` with storage_source and storage_destination.")
		},
		run: func(ctx context.Context, s *session, _ []string) error {
			if config == "" {
				return badInput("pass -config=FILE", "the configuration is missing")
			}
			program, err := findServer()
			if err != nil {
				return err
			}
			migrate := exec.CommandContext(ctx, program, "migrate", "-config="+config)
			migrate.Stdout, migrate.Stderr = s.stdio.Stdout, s.stdio.Stderr
			if err := migrate.Run(); err != nil {
				return badInput("the reason stands above", "migrating: %w", err)
			}
			return nil
		},
	}
}

// findServer returns the path of the server's program.
func findServer() (string, error) {
	if own, err := os.Executable(); err == nil {
		beside := filepath.Join(filepath.Dir(own), serverProgram)
		if info, err := os.Stat(beside); err == nil && info.Mode().IsRegular() {
			return beside, nil
		}
	}
	found, err := exec.LookPath(serverProgram)
	if err != nil {
		return "", badInput("install it beside this program or in the PATH", "the program %q is not found", serverProgram)
	}
	return found, nil
}
