package agent

import (
	"encoding/json"
	"errors"
	"flag"
	"io"
)

// showing is how a command prints what it found, by its flag -format.
type showing struct{ json bool }

func (s *showing) set(set *flag.FlagSet) { set.Var(s, "format", "print as `format`: table or json") }

// String implements [flag.Value].
func (s *showing) String() string {
	if s.json {
		return "json"
	}
	return "table"
}

// Set implements [flag.Value].
func (s *showing) Set(format string) error {
	if format != "table" && format != "json" {
		return errors.New("use table or json")
	}
	s.json = format == "json"
	return nil
}

// show prints a result, whose table is for people.
func (s *showing) show(w io.Writer, result any, table func() string) error {
	if !s.json {
		_, err := io.WriteString(w, table())
		return err
	}
	out := json.NewEncoder(w)
	out.SetIndent("", "  ")
	return out.Encode(result)
}
