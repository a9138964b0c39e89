package templates

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/novatech/securevault/internal/vault"
)

// Format is a way to write secrets without a template.
type Format string

// The formats. In env and properties, a field that is a list or a map is
// written as JSON.
const (
	JSON       Format = "json"
	YAML       Format = "yaml"
	Env        Format = "env"        // NAME="value", for systemd's EnvironmentFile and for a shell
	Properties Format = "properties" // of Java
)

// FormatConfig describes an output without a template: the fields of secrets
// by their names, in their order.
type FormatConfig struct {
	Name    string   // for errors
	Format  Format   // one of the constants
	Secrets []string // paths as the function secret takes them; at least one
	Fields  []string // to be written; all when empty
	Prefix  string   // of each name
}

// formatted is the [body] of an output without a template.
type formatted struct {
	cfg    FormatConfig
	wants  []vault.Want
	encode func(map[string]any) ([]byte, error)
}

// NewFormat returns what renders secrets in a format. It is a [Template] in
// all but its text.
func NewFormat(cfg FormatConfig) (*Template, error) {
	encode := map[Format]func(map[string]any) ([]byte, error){
		JSON: encodeJSON, YAML: encodeYAML, Env: encodeEnv, Properties: encodeProperties,
	}[cfg.Format]
	if encode == nil {
		return nil, fmt.Errorf("making the output %q: there is no format %q; use json, yaml, env or properties", cfg.Name, cfg.Format)
	}
	if len(cfg.Secrets) == 0 {
		return nil, fmt.Errorf("making the output %q: it has no secret; name the path of one", cfg.Name)
	}
	body := &formatted{cfg: cfg, encode: encode}
	for _, path := range cfg.Secrets {
		want, err := wantOf("secret", []string{path})
		if err != nil {
			return nil, fmt.Errorf("making the output %q: %w", cfg.Name, err)
		}
		body.wants = append(body.wants, want)
	}
	return &Template{cfg: Config{Name: cfg.Name}, body: body, wants: body.wants, wantsAll: true}, nil
}

// evaluate implements [body].
func (f *formatted) evaluate(e *evaluation) ([]byte, error) {
	fields := map[string]any{}
	for _, want := range f.wants {
		found, err := unwrapped(want, e.get(want).Data)
		if err != nil {
			return nil, err
		}
		for name, value := range found {
			if _, taken := fields[name]; taken && f.writes(name) {
				return nil, fmt.Errorf("the field %q is in more than one secret, the last of them %q; write them to different files, or leave it out of fields", name, want)
			}
			fields[name] = value
		}
	}
	for _, name := range f.cfg.Fields {
		if _, ok := fields[name]; !ok {
			return nil, fmt.Errorf("there is no field %q; there are %s", name, strings.Join(slices.Sorted(maps.Keys(fields)), ", "))
		}
	}
	out := make(map[string]any, len(fields))
	for name, value := range fields {
		if f.writes(name) {
			out[f.cfg.Prefix+name] = value
		}
	}
	text, err := f.encode(out)
	if len(text) > MaxOutput {
		return nil, errTooLarge
	}
	return text, err
}

func (f *formatted) writes(field string) bool {
	return len(f.cfg.Fields) == 0 || slices.Contains(f.cfg.Fields, field)
}

// unwrapped returns the fields of a secret: version 2 of the key-value engine
// has them beside their metadata.
func unwrapped(want vault.Want, data map[string]any) (map[string]any, error) {
	inner, hasData := data["data"]
	_, hasMetadata := data["metadata"].(map[string]any)
	if len(data) != 2 || !hasData || !hasMetadata {
		return data, nil
	}
	switch fields := inner.(type) {
	case map[string]any:
		return fields, nil
	case nil:
		return nil, fmt.Errorf("this version of %q was deleted; undelete it, or write it anew", want)
	default:
		return nil, errors.New("the secret's data is no object")
	}
}
