package agent

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/novatech/securevault/agent/config"
	"github.com/novatech/securevault/agent/schedule"
	"github.com/novatech/securevault/agent/window"
	"github.com/novatech/securevault/sink"
	"github.com/novatech/securevault/templates"
)

// builder makes outputs of a configuration.
type builder struct {
	file        *config.File
	child       *child            // nil for none
	credentials *sink.Credentials // nil for none
	instance    window.Instance
	windows     map[string]*window.Windows // as they are written → the windows, since policies are compared
}

func newBuilder(file *config.File, opts Options) builder {
	b := builder{
		file:        file,
		credentials: newCredentials(file.Credentials, opts.Log),
		instance:    window.ThisInstance(opts.Getenv),
		windows:     make(map[string]*window.Windows),
	}
	if !opts.Once && !file.ExitAfterAuth { // nobody would wait for the child of such a run
		b.child = newChild(file.Child, opts.Log)
	}
	return b
}

// builder makes outputs of another configuration: for the same child, and the
// same socket, if they are described alike.
func (a *Agent) builder(file *config.File) builder {
	b := newBuilder(file, a.opts)
	if config.Same(a.file.Child, file.Child) {
		b.child = a.child
	}
	if config.Same(a.file.Credentials, file.Credentials) {
		b.credentials = a.credentials
	}
	return b
}

// outputs returns what the configuration has rendered. The error names
// everything that is wrong.
func (b builder) outputs() ([]*output, error) {
	var outputs []*output
	var errs []error
	add := func(o *output, err error) {
		if err != nil {
			errs = append(errs, err)
			return
		}
		outputs = append(outputs, o)
	}
	for _, t := range b.file.Templates {
		add(b.single(t))
	}
	for _, g := range b.file.Groups {
		add(b.folder(g))
	}
	for _, e := range b.file.EnvFiles {
		add(b.envFile(e))
	}
	if c := b.file.Credentials; c != nil {
		for _, one := range c.Credentials {
			add(b.credential(one))
		}
	}
	if b.child != nil {
		add(b.environment())
	}
	if err := errors.Join(errs...); err != nil {
		return nil, failure{ExitTemplate, err}
	}
	return outputs, nil
}

// single returns the output of a template stanza.
func (b builder) single(t config.Template) (*output, error) {
	tmpl, err := newTemplate(t.Text, t.Origin)
	if err != nil {
		return nil, err
	}
	hooks, err := b.hooks(hooked(t), b.file.Notify)
	if err != nil {
		return nil, err
	}
	return &output{
		template: tmpl,
		place: single{sink.File{
			Path: t.Destination, Mode: t.Mode.FileMode(), Owner: string(t.Owner), Group: string(t.Group),
			CreateDirs: t.CreateDestDirs, Backup: t.Backup, InPlace: t.InPlace,
		}},
		hooks:    hooks,
		checks:   newChecks(t.Reaction),
		policy:   b.policy(t),
		fatal:    t.Has("error_fatal") && t.ErrorFatal,
		maxStale: time.Duration(cmp.Or(t.MaxStale, b.file.Lease.MaxStale)),
	}, nil
}

// policy returns how the leases of a template are kept.
func (b builder) policy(t config.Template) schedule.Policy {
	p := schedule.Policy{
		RenewAt: b.file.Lease.RenewAt,
		Jitter:  b.file.Lease.Jitter,
		Overlap: time.Duration(b.file.Lease.Overlap),
		Static:  time.Duration(b.file.TemplateConfig.StaticSecretRenderInterval),
		Windows: b.window(b.file.Lease.RotationWindow),
	}
	if p.Jitter == 0 {
		p.Jitter = -1 // a zero would stand for the default
	}
	if t.Has("renew_at") {
		p.RenewAt = t.RenewAt
	}
	if t.Has("overlap") {
		p.Overlap = time.Duration(t.Overlap)
	}
	if t.Has("refresh_interval") {
		p.Static = time.Duration(t.RefreshInterval)
	}
	if t.Has("rotation_window") {
		p.Windows = b.window(t.RotationWindow)
	}
	return p.WithDefaults()
}

// window returns the windows of a configuration, nil for none.
func (b builder) window(written config.Windows) *window.Windows {
	if len(written) == 0 {
		return nil
	}
	key := fmt.Sprint(written)
	if known := b.windows[key]; known != nil {
		return known
	}
	var windows window.Windows
	for _, w := range written {
		one := window.Window{Days: w.Days, From: time.Duration(w.From), To: time.Duration(w.To)}
		if w.UTC {
			one.Zone = time.UTC
		}
		windows = append(windows, one)
	}
	b.windows[key] = &windows
	return &windows
}

// newTemplate makes what is rendered: a template, or a secret written out in a
// format.
func newTemplate(t config.Text, o config.Origin) (*templates.Template, error) {
	if t.Secret != "" {
		name := o.Where("secret").String() + ": secret"
		return templates.NewFormat(templates.FormatConfig{
			Name: name, Format: templates.Format(t.Format), Secret: t.Secret, Fields: t.Fields, Prefix: t.Prefix,
		})
	}
	tmpl, err := templates.New(templates.Config{
		Name: o.Where("contents").String() + ": contents", Source: t.Source, Contents: t.Contents, LeftDelim: t.LeftDelimiter, RightDelim: t.RightDelimiter,
		ErrOnMissingKey: t.ErrorOnMissing, Denylist: t.FunctionDenylist, Sandbox: t.SandboxPath,
	})
	if t.Source != "" && errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%s: %w; check the path of source", o.Where("source"), err)
	}
	return tmpl, err
}
