package cli

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// mounts is one of the two kinds of things that are enabled at a path.
type mounts struct {
	word string // first word of its commands
	noun string
	path string // where the API manages them
	kind string // an example of a type
}

func secretsEngines() mounts {
	return mounts{word: "secrets", noun: "secrets engine", path: "sys/mounts", kind: "database"}
}

func authMethods() mounts {
	return mounts{word: "auth", noun: "auth method", path: "sys/auth", kind: "approle"}
}

// tuning adds the flags for the settings of a mount.
func tuning(set *flag.FlagSet, config body) {
	config.duration(set, "default-lease-ttl", "`DURATION` of leases that do not ask for one, such as 1h.")
	config.duration(set, "max-lease-ttl", "Longest `DURATION` of a lease, such as 24h.")
}

func (m mounts) enable() command {
	var path string
	fields, config := body{}, body{}
	return command{
		usage:    "[options] TYPE",
		synopsis: "Enable " + article(m.noun),
		about:    fmt.Sprintf("Enables the %s TYPE at a path, which is its type's\nname unless -path says otherwise.", m.noun),
		examples: []string{m.word + " enable " + m.kind, m.word + " enable -path=team-a/" + m.kind + " " + m.kind},
		minArgs:  1,
		maxArgs:  1,
		flags: func(set *flag.FlagSet) {
			set.StringVar(&path, "path", "", "`PATH` to enable it at; the default is TYPE.")
			fields.text(set, "description", "What it is for, as `TEXT`.")
			tuning(set, config)
		},
		run: func(ctx context.Context, s *session, args []string) error {
			fields := fields.with("type", args[0])
			if len(config) > 0 {
				fields["config"] = config
			}
			at, err := cleanPath(either(path, args[0]))
			if err != nil {
				return err
			}
			answer, err := s.put(ctx, m.path+"/"+at, fields)
			if err != nil {
				return err
			}
			return s.output.outcome(answer, "Success! Enabled the %s %s at: %s/", args[0], m.noun, at)
		},
	}
}

func (m mounts) disable() command {
	return command{
		usage:    "[options] PATH",
		synopsis: fmt.Sprintf("Disable %s and end its leases", article(m.noun)),
		about:    fmt.Sprintf("Disables the %s at PATH: its leases end and its configuration is deleted.", m.noun),
		examples: []string{m.word + " disable " + m.kind + "/"},
		minArgs:  1,
		maxArgs:  1,
		run: func(ctx context.Context, s *session, args []string) error {
			at, err := cleanPath(args[0])
			if err != nil {
				return err
			}
			answer, err := s.delete(ctx, m.path+"/"+at)
			if err != nil {
				return err
			}
			return s.output.outcome(answer, "Success! Disabled the %s (if it existed) at: %s/", m.noun, at)
		},
	}
}

func (m mounts) tune() command {
	config := body{}
	return command{
		usage:    "[options] PATH",
		synopsis: "Change settings of " + article(m.noun),
		about:    fmt.Sprintf("Changes the given settings of the %s at PATH and leaves the others.", m.noun),
		examples: []string{m.word + " tune -max-lease-ttl=24h " + m.kind + "/"},
		minArgs:  1,
		maxArgs:  1,
		flags: func(set *flag.FlagSet) {
			config.text(set, "description", "What it is for, as `TEXT`.")
			tuning(set, config)
		},
		run: func(ctx context.Context, s *session, args []string) error {
			if len(config) == 0 {
				return badInput("name at least one: -description, -default-lease-ttl or -max-lease-ttl",
					"there is no setting to change")
			}
			at, err := cleanPath(args[0])
			if err != nil {
				return err
			}
			answer, err := s.put(ctx, m.path+"/"+at+"/tune", config)
			if err != nil {
				return err
			}
			return s.output.outcome(answer, "Success! Tuned the %s at: %s/", m.noun, at)
		},
	}
}

// mount is what the API tells of one mount.
type mount struct {
	Type        string `json:"type"`
	Accessor    string `json:"accessor"`
	Description string `json:"description"`
	UUID        string `json:"uuid"`
	Local       bool   `json:"local"`
	Config      struct {
		DefaultLeaseTTL seconds `json:"default_lease_ttl"`
		MaxLeaseTTL     seconds `json:"max_lease_ttl"`
	} `json:"config"`
}

func (m mounts) list() command {
	var detailed bool
	return command{
		usage:    "[options]",
		synopsis: fmt.Sprintf("List the enabled %ss", m.noun),
		about:    fmt.Sprintf("Lists the enabled %ss with their paths.", m.noun),
		examples: []string{m.word + " list -detailed"},
		flags: func(set *flag.FlagSet) {
			set.BoolVar(&detailed, "detailed", false, "Show TTLs and identifiers too.")
		},
		run: func(ctx context.Context, s *session, _ []string) error {
			answer, err := s.get(ctx, m.path, nil)
			if err != nil {
				return err
			}
			var envelope struct {
				Data json.RawMessage `json:"data"`
			}
			if err := json.Unmarshal(answer.raw, &envelope); err != nil {
				return &failure{err: fmt.Errorf("decoding the list of mounts: %w", err), code: ExitServer}
			}
			if !s.output.forHumans() {
				return s.output.document(envelope.Data)
			}
			var all map[string]mount
			if err := json.Unmarshal(envelope.Data, &all); err != nil {
				return &failure{err: fmt.Errorf("decoding the list of mounts: %w", err), code: ExitServer}
			}
			s.output.table(mountRows(all, detailed))
			return nil
		},
	}
}

func mountRows(all map[string]mount, detailed bool) [][]string {
	rows := [][]string{{"Path", "Type", "Accessor", "Description"}}
	if detailed {
		rows = [][]string{{"Path", "Type", "Accessor", "Default TTL", "Max TTL", "Local", "UUID", "Description"}}
	}
	for _, path := range slices.Sorted(maps.Keys(all)) {
		m := all[path]
		row := []string{path, m.Type, m.Accessor}
		if detailed {
			row = append(row, mountTTL(m.Config.DefaultLeaseTTL), mountTTL(m.Config.MaxLeaseTTL),
				strconv.FormatBool(m.Local), m.UUID)
		}
		rows = append(rows, append(row, either(m.Description, "n/a")))
	}
	return rows
}

// mountTTL names a TTL; zero means that the server's own applies.
func mountTTL(ttl seconds) string {
	if ttl == 0 {
		return "system"
	}
	return ttl.String()
}

// either returns text, or fallback where there is none.
func either(text, fallback string) string {
	if text == "" {
		return fallback
	}
	return text
}

func article(noun string) string {
	if strings.HasPrefix(noun, "a") {
		return "an " + noun
	}
	return "a " + noun
}
