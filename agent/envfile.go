package agent

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/novatech/securevault/agent/config"
	"github.com/novatech/securevault/internal/vault"
	"github.com/novatech/securevault/sink"
	"github.com/novatech/securevault/templates"
)

// renderer is what an output shows: one template, or several that make one
// file. See [templates.Template.Render].
type renderer interface {
	Name() string
	Render(lookup templates.Lookup) (templates.Result, error)
}

// environment renders variables, each by its template, for an env file or for
// the child.
type environment struct {
	name      string
	encode    func([]sink.Variable) ([]byte, error)
	variables []variable
}

// variable is a named template: of a variable, or of a file in a folder.
type variable struct {
	name     string
	template *templates.Template
}

// newEnvironment returns what is rendered for the stanzas of variables, and
// whether a failure of one ends the agent. The error names every variable that
// is wrong.
func newEnvironment(name string, stanzas []config.EnvTemplate, encode func([]sink.Variable) ([]byte, error)) (env environment, fatal bool, _ error) {
	env = environment{name: name, encode: encode}
	var errs []error
	for _, v := range stanzas {
		template, err := newTemplate(v.Text, v.Origin)
		errs = append(errs, err)
		env.variables = append(env.variables, variable{v.Name, template})
		fatal = fatal || v.Has("error_fatal") && v.ErrorFatal
	}
	return env, fatal, errors.Join(errs...)
}

// envFile returns the output for an env_file stanza.
func (b builder) envFile(e config.EnvFile) (*output, error) {
	env, fatal, err := newEnvironment(e.At.String()+": env_file", e.Variables, sink.EnvFile)
	hooks, hooksErr := b.hooks(e.Reaction, b.file.Notify)
	if err := errors.Join(err, hooksErr); err != nil {
		return nil, err
	}
	return &output{
		template: env,
		place: single{sink.File{
			Path: e.Destination, Mode: e.Mode.FileMode(), Owner: string(e.Owner), Group: string(e.Group),
			CreateDirs: e.CreateDestDirs, Backup: e.Backup, InPlace: e.InPlace,
		}},
		hooks:  hooks,
		checks: newChecks(e.Reaction),
		policy: b.policy(config.Template{}),
		fatal:  fatal,

		maxStale: time.Duration(b.file.Lease.MaxStale),
	}, nil
}

// Name implements [renderer].
func (e environment) Name() string { return e.name }

// Render implements [renderer].
func (e environment) Render(lookup templates.Lookup) (templates.Result, error) {
	return renderAll(e.variables, lookup, func(all *templates.Result, outputs [][]byte) (err error) {
		variables := make([]sink.Variable, len(outputs))
		for i, v := range e.variables {
			variables[i] = sink.Variable{Name: v.name, Value: vault.Sensitive(outputs[i])}
		}
		all.Output, err = e.encode(variables)
		return err
	})
}

// renderAll evaluates several templates for one result, all of them in each
// pass, so that everything that is wanted is known at once. When nothing is
// pending, combine makes the result of their outputs.
func renderAll(parts []variable, lookup templates.Lookup, combine func(*templates.Result, [][]byte) error) (templates.Result, error) {
	var all templates.Result
	var errs []error
	outputs := make([][]byte, len(parts))
	for i, part := range parts {
		one, err := part.template.Render(lookup)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", part.name, err))
		}
		all.Wants = append(all.Wants, one.Wants...)
		all.Pending = append(all.Pending, one.Pending...)
		all.Effects = append(all.Effects, one.Effects...)
		outputs[i] = one.Output
	}
	all.Wants, all.Pending = unique(all.Wants), unique(all.Pending)
	if len(all.Pending) > 0 || len(errs) > 0 {
		all.Effects = nil
		return all, errors.Join(errs...)
	}
	return all, combine(&all, outputs)
}

// unique returns the wants in their order, each where it came first.
func unique(wants []vault.Want) []vault.Want {
	seen := make(map[vault.Want]bool, len(wants))
	return slices.DeleteFunc(wants, func(w vault.Want) bool {
		known := seen[w]
		seen[w] = true
		return known
	})
}
