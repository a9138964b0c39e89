package agent

import (
	"cmp"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/novatech/securevault/agent/config"
	"github.com/novatech/securevault/sink"
	"github.com/novatech/securevault/templates"
)

// folder renders the templates of a group, whose files change all at once:
// each is an effect below the folder, in the order of the stanza.
type folder struct {
	name      string
	directory string
	members   []variable // file name below the directory, and its template
}

// folder returns the output for a group stanza. The error names every template
// that is wrong.
func (b builder) folder(g config.Group) (*output, error) {
	all := folder{name: fmt.Sprintf("%s: group %q", g.At, g.Name), directory: g.Directory}
	group := &sink.Group{Directory: g.Directory, Keep: g.Keep, Mode: g.Mode.FileMode(), Owner: string(g.Owner), Group: string(g.Group)}
	o := &output{template: &all, place: switched{group}}
	var errs []error
	for i, t := range g.Templates {
		template, err := newTemplate(t.Text, t.Origin)
		hooks, hooksErr := b.hooks(hooked(t), nil)
		errs = append(errs, err, hooksErr)
		all.members = append(all.members, variable{t.Destination, template})
		group.Files = append(group.Files, sink.Member{Name: t.Destination, Mode: t.Mode.FileMode(), Owner: string(t.Owner), Group: string(t.Group)})
		o.hooks, o.checks = append(o.hooks, hooks...), append(o.checks, newChecks(t.Reaction)...)
		if policy := b.policy(t); i == 0 {
			o.policy = policy
		} else {
			o.policy = o.policy.Merge(policy)
		}
		// What is published together may be as stale as the strictest allows.
		if limit := time.Duration(cmp.Or(t.MaxStale, b.file.Lease.MaxStale)); limit > 0 && (o.maxStale == 0 || limit < o.maxStale) {
			o.maxStale = limit
		}
		o.fatal = o.fatal || t.Has("error_fatal") && t.ErrorFatal
	}
	hooks, err := b.hooks(g.Reaction, b.file.Notify)
	if err := errors.Join(append(errs, err)...); err != nil {
		return nil, err
	}
	o.hooks, o.checks = append(o.hooks, hooks...), append(o.checks, newChecks(g.Reaction)...)
	return o, nil
}

// Name implements [renderer].
func (f *folder) Name() string { return f.name }

// Render implements [renderer]. Every template is evaluated in each pass, so
// that all that is wanted is known at once.
func (f *folder) Render(lookup templates.Lookup) (templates.Result, error) {
	return renderAll(f.members, lookup, func(all *templates.Result, outputs [][]byte) error {
		if len(all.Effects) > 0 {
			return fmt.Errorf("evaluating %s: writeToFile would write outside of the group; give the file a template of its own", f.name)
		}
		for i, m := range f.members {
			all.Effects = append(all.Effects, &templates.Effect{Path: filepath.Join(f.directory, m.name), Content: outputs[i]})
		}
		return nil
	})
}
