package templates

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"text/template"

	"github.com/novatech/securevault/internal/vault"
)

// evaluation is one pass over a template: what it asked for and what it got.
type evaluation struct {
	cfg     Config
	lookup  Lookup
	wants   []vault.Want
	pending []vault.Want
	found   []*vault.Secret
	given   map[vault.Want]*Secret // copies, nil for what is pending
	scratch Scratch
	effects []*Effect
	written map[string]*Effect // path → one of the effects

	effectSize int // bytes written so far
	steps      int
}

func newEvaluation(cfg Config, lookup Lookup) *evaluation {
	return &evaluation{
		cfg: cfg, lookup: lookup, given: map[vault.Want]*Secret{}, scratch: Scratch{values: map[string]any{}}, written: map[string]*Effect{},
	}
}

// functions returns what ownFunctions names, for a template and those that it
// defines.
func (e *evaluation) functions(root *template.Template) template.FuncMap {
	return template.FuncMap{
		"secret": e.secret, "secrets": e.secrets, "pkiCert": e.pkiCert,
		"file": e.file, "writeToFile": e.writeToFile,
		"env": e.env, "mustEnv": e.mustEnv, "envOrDefault": e.envOrDefault,
		"loop": loop, "scratch": func() *Scratch { return &e.scratch },
		"executeTemplate": func(name string, dot ...any) (string, error) { return executeTemplate(root, name, dot) },
		stepFunction:      e.step, enterFunction: e.enter,
	}
}

// executeTemplate returns the output of a defined template.
func executeTemplate(root *template.Template, name string, dot []any) (string, error) {
	if len(dot) > 1 {
		return "", fmt.Errorf("executeTemplate takes one value at most, not %d", len(dot))
	}
	out := &boundedBuffer{}
	err := root.ExecuteTemplate(out, name, append(dot, nil)[0])
	return out.buffer.String(), err
}

// get returns the template's own copy of a secret, nil while there is none.
func (e *evaluation) get(want vault.Want) *Secret {
	given, asked := e.given[want]
	if asked {
		return given
	}
	e.wants = append(e.wants, want)
	if found, ok := e.lookup(want); ok && found != nil {
		e.found = append(e.found, found)
		given = newSecret(found)
	} else {
		e.pending = append(e.pending, want)
	}
	e.given[want] = given
	return given
}

func (e *evaluation) secret(args ...string) (any, error) {
	want, err := wantOf("secret", args)
	if err != nil {
		return nil, err
	}
	if given := e.get(want); given != nil {
		return given, nil
	}
	return (*absent)(nil), nil
}

func (e *evaluation) secrets(path string) ([]string, error) {
	want, err := wantOf("secrets", []string{path})
	if err != nil {
		return nil, err
	}
	given := e.get(want)
	if given == nil {
		return nil, nil
	}
	keys, _ := given.Data["keys"].([]any)
	names := make([]string, 0, len(keys))
	for _, key := range keys {
		name, ok := key.(string)
		if !ok {
			return nil, errors.New("the server's list holds something else than names")
		}
		names = append(names, name)
	}
	slices.Sort(names)
	return names, nil
}

func (e *evaluation) file(path string) (string, error) {
	if path == "" {
		return "", nil
	}
	return readFile(path, e.cfg.Sandbox)
}

func (e *evaluation) env(name string) (string, error) { return e.envOrDefault(name, "") }

func (e *evaluation) mustEnv(name string) (string, error) {
	value, err := e.env(name)
	if err == nil && value == "" {
		return "", fmt.Errorf("the environment variable %q is empty; set it for the agent", name)
	}
	return value, err
}

func (e *evaluation) envOrDefault(name, byDefault string) (string, error) {
	if name == "VAULT_TOKEN" || name == "SECUREVAULT_TOKEN" {
		return "", fmt.Errorf("the environment variable %q is a token and not for templates; use a token sink", name)
	}
	value, ok := e.cfg.LookupEnv(name)
	if !ok {
		return byDefault, nil
	}
	return value, nil
}

// wantOf returns what a call of secret, secrets or pkiCert asks for. As
// everywhere in the field, a second argument makes secret a write, be it an
// empty one.
func wantOf(function string, args []string) (vault.Want, error) {
	if len(args) == 0 {
		return vault.Want{}, fmt.Errorf("%s needs a path, such as %q", function, "database/creds/app")
	}
	if function == "secrets" {
		return vault.ListWant(args[0])
	}
	path, query, _ := strings.Cut(args[0], "?")
	if len(args) == 1 && function == "secret" {
		params, err := readParams(query)
		if err != nil {
			return vault.Want{}, err
		}
		return vault.ReadWant(path, params)
	}
	params := map[string]any{}
	for _, pair := range args[1:] {
		if pair == "" {
			continue
		}
		key, value, ok := strings.Cut(pair, "=")
		if !ok {
			// What is no pair may be a value, and a secret one.
			return vault.Want{}, fmt.Errorf("a parameter for %q is no key=value", path)
		}
		params[strings.TrimSpace(key)] = strings.TrimSpace(value)
	}
	if function == "pkiCert" && params["csr"] == localRequest {
		delete(params, "csr")
		return vault.SignWant(path, params)
	}
	return vault.WriteWant(path, params)
}

// localRequest is the value of the parameter csr of pkiCert that has the key
// made, and the request signed, by the agent.
const localRequest = "local"

// maxLoop is how many numbers loop makes, as many as a loop may take turns.
const maxLoop = MaxSteps

// loop returns the numbers from the first of two arguments, or from 0, to the
// last, without it. Consul-template's own leaves a goroutine behind when the
// loop ends early.
func loop(bounds ...any) ([]int64, error) {
	if len(bounds) == 1 {
		bounds = []any{0, bounds[0]}
	}
	if len(bounds) != 2 {
		return nil, fmt.Errorf("loop takes one or two numbers, not %d", len(bounds))
	}
	first, err := toInt(bounds[0])
	if err != nil {
		return nil, err
	}
	last, err := toInt(bounds[1])
	if err != nil {
		return nil, err
	}
	if last <= first {
		return nil, nil
	}
	if uint64(last)-uint64(first) > maxLoop {
		return nil, fmt.Errorf("loop makes at most %d numbers; make it shorter", maxLoop)
	}
	numbers := make([]int64, last-first)
	for i := range numbers {
		numbers[i] = first + int64(i)
	}
	return numbers, nil
}

func toInt(number any) (int64, error) {
	switch v := reflect.ValueOf(number); {
	case v.CanInt():
		return v.Int(), nil
	case v.CanUint():
		return int64(v.Uint()), nil
	case v.Kind() == reflect.String:
		return strconv.ParseInt(v.String(), 10, 64)
	default:
		return 0, fmt.Errorf("loop takes numbers, not a %T", number)
	}
}
