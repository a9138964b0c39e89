package cli

import (
	"context"
	"flag"
	"fmt"
)

func readCommand() command {
	return command{
		usage:    "[options] PATH [KEY=VALUE...]",
		synopsis: "Read a secret or request a credential",
		about: "Reads what is at PATH. Reading a path such as database/creds/ROLE makes a new\n" +
			"credential with a lease of its own. Fields go into the query of the URL.",
		examples:   []string{"read database/creds/app-readonly", "read -field=password database/creds/app-readonly"},
		minArgs:    1,
		maxArgs:    -1,
		selectable: true,
		run: func(ctx context.Context, s *session, args []string) error {
			fields, err := s.pairs(2, args[1:])
			if err != nil {
				return err
			}
			answer, err := s.get(ctx, args[0], query(fields))
			if err != nil {
				return err
			}
			if answer.secret == nil {
				return nothingAt(args[0])
			}
			return s.output.answer(answer)
		},
	}
}

func writeCommand() command {
	var force bool
	return command{
		usage:    "[options] PATH [KEY=VALUE...]",
		synopsis: "Write data, configuration or a role",
		about: "Writes the fields to PATH: KEY=VALUE, KEY=@FILE for a file's content, KEY=- for\n" +
			"standard input, @FILE or - for a whole JSON object. A repeated key makes a list.",
		examples: []string{
			"write database/roles/app-readonly db_name=postgres-prod default_ttl=1h creation_statements=@role.sql",
			"write -force database/rotate-root/postgres-prod",
		},
		minArgs:    1,
		maxArgs:    -1,
		selectable: true,
		flags: func(set *flag.FlagSet) {
			set.BoolVar(&force, "force", false, "Write although there are no fields.")
			set.BoolVar(&force, "f", false, "Short for -force.")
		},
		run: func(ctx context.Context, s *session, args []string) error {
			fields, err := s.pairs(2, args[1:])
			if err != nil {
				return err
			}
			if len(fields) == 0 && !force {
				return badInput(fmt.Sprintf("add KEY=VALUE, or type %s write -force %s", s.program, args[0]),
					"there is nothing to write to %q", args[0])
			}
			answer, err := s.put(ctx, args[0], fields)
			if err != nil {
				return err
			}
			return s.output.outcome(answer, "Success! Data written to: %s", args[0])
		},
	}
}

func listCommand() command {
	return command{
		usage:    "[options] PATH",
		synopsis: "List the names under a path",
		about:    "Lists the names under PATH. Names that end in a slash hold others.",
		examples: []string{"list database/roles"},
		minArgs:  1,
		maxArgs:  1,
		run: func(ctx context.Context, s *session, args []string) error {
			answer, err := s.list(ctx, args[0])
			if err != nil {
				return err
			}
			keys, err := keysOf(answer)
			if err != nil {
				return err
			}
			if len(keys) == 0 {
				return nothingAt(args[0])
			}
			if !s.output.forHumans() {
				return s.output.encoded(keys)
			}
			s.output.warn(answer)
			rows := [][]string{{"Keys"}}
			for _, key := range keys {
				rows = append(rows, []string{key})
			}
			s.output.table(rows)
			return nil
		},
	}
}

func deleteCommand() command {
	return command{
		usage:    "[options] PATH",
		synopsis: "Delete data, configuration or a role",
		about:    "Deletes what is at PATH. It is no error if nothing is there.",
		examples: []string{"delete database/roles/app-readonly"},
		minArgs:  1,
		maxArgs:  1,
		run: func(ctx context.Context, s *session, args []string) error {
			answer, err := s.delete(ctx, args[0])
			if err != nil {
				return err
			}
			return s.output.outcome(answer, "Success! Data deleted (if it existed) at: %s", args[0])
		},
	}
}

// nothingAt reports an answer without content.
func nothingAt(path string) error {
	return &failure{
		err:  fmt.Errorf("no value found at %q", path),
		hint: "check the spelling, or list the names above it",
		code: ExitServer,
	}
}

// keysOf returns the names that a list was answered with.
func keysOf(a *answer) ([]string, error) {
	keys := []string{}
	if a.secret == nil {
		return keys, nil
	}
	list, _ := a.secret.Data["keys"].([]any)
	for _, key := range list {
		name, ok := key.(string)
		if !ok {
			return nil, &failure{err: fmt.Errorf("the answer's list holds a %T, not a name", key), code: ExitServer}
		}
		keys = append(keys, name)
	}
	return keys, nil
}
