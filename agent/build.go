package agent

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"time"

	"go.uber.org/zap"

	"github.com/novatech/securevault/agent/config"
	"github.com/novatech/securevault/agent/lease"
	"github.com/novatech/securevault/agent/schedule"
	"github.com/novatech/securevault/agent/state"
	"github.com/novatech/securevault/agent/systemd"
	"github.com/novatech/securevault/internal/vault"
	"github.com/novatech/securevault/sink"
	"github.com/novatech/securevault/templates"
)

// Options are what the command line adds to the configuration.
type Options struct {
	Log      *zap.Logger
	Getenv   func(name string) string
	Once     bool          // end when everything is rendered and told
	Deadline time.Duration // of a run that is to end by itself; 0 for none
	Address  string        // of the server; "" leaves it to environment and configuration
	Settled  func()        // called when everything was rendered for the first time
	State    *state.Log    // what outlives the agent; nil for nothing
	// Transport carries the requests; nil for the network.
	Transport http.RoundTripper
}

// New composes an agent. It reads the templates, but touches neither the
// server nor any destination. The error names every template that is wrong.
func New(file *config.File, opts Options) (*Agent, error) {
	client, err := vault.New(clientConfig(file, opts))
	if err != nil {
		return nil, failure{ExitConfig, err}
	}
	a := &Agent{
		log:          opts.Log,
		announcer:    newAnnouncer(opts.Log),
		pidFile:      file.PIDFile,
		file:         file,
		reloads:      make(chan *config.File, 1),
		once:         opts.Once || file.ExitAfterAuth,
		revokeOnExit: file.RevokeOnExit,
		retries:      -1,
		settle:       opts.Settled,
	}
	if a.settle == nil {
		a.settle = func() {}
	}
	if a.once {
		a.deadline = opts.Deadline
	}
	leases := lease.Config{Server: client, Log: opts.Log, Connections: file.TemplateConfig.MaxConnectionsPerHost}
	if opts.State != nil {
		leases.Journal = opts.State
	}
	if file.TemplateConfig.ExitOnRetryFailure {
		a.retries = file.Vault.Retry.Limit()
	}
	if a.keeper, err = newKeeper(file.AutoAuth, client, opts); err != nil {
		return nil, err
	}
	leases.Suspect = a.keeper.Suspect
	if a.leases, err = lease.New(leases); err != nil {
		return nil, failure{ExitInternal, err}
	}
	if err := a.serve(file, client); err != nil {
		return nil, err
	}
	if a.service, err = systemd.New(opts.Getenv); err != nil {
		return nil, failure{ExitConfig, err}
	}
	return a, a.addOutputs(file)
}

// addOutputs adds what the agent writes: token sinks and templates.
func (a *Agent) addOutputs(file *config.File) error {
	if file.AutoAuth != nil {
		for _, s := range file.AutoAuth.Sinks {
			a.tokens = append(a.tokens, sink.File{
				Path: s.File.Path, Mode: s.File.Mode.FileMode(), Owner: string(s.File.Owner), Group: string(s.File.Group), CreateDirs: true, InPlace: s.File.InPlace,
			})
		}
	}
	var err error
	a.outputs, err = newOutputs(file)
	return err
}

// newOutputs returns what a configuration has rendered. The error names
// everything that is wrong.
func newOutputs(file *config.File) ([]*output, error) {
	var outputs []*output
	var errs []error
	add := func(o *output, err error) {
		if err != nil {
			errs = append(errs, err)
			return
		}
		outputs = append(outputs, o)
	}
	for _, t := range file.Templates {
		add(newOutput(file, t))
	}
	for _, g := range file.Groups {
		add(newFolder(file, g))
	}
	for _, e := range file.EnvFiles {
		add(newEnvFile(file, e))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, failure{ExitTemplate, err}
	}
	return outputs, nil
}

// clientConfig says how to reach the server: the command line before the
// environment before the file.
func clientConfig(file *config.File, opts Options) vault.Config {
	first := func(fallback, name string) string {
		return cmp.Or(opts.Getenv("SECUREVAULT_"+name), opts.Getenv("VAULT_"+name), fallback)
	}
	v := file.Vault
	return vault.Config{
		Address:       cmp.Or(opts.Address, first(v.Address, "ADDR")),
		CACert:        first(v.CACert, "CACERT"),
		CAPath:        first(v.CAPath, "CAPATH"),
		ClientCert:    first(v.ClientCert, "CLIENT_CERT"),
		ClientKey:     first(v.ClientKey, "CLIENT_KEY"),
		TLSServerName: first(v.TLSServerName, "TLS_SERVER_NAME"),
		TLSSkipVerify: v.TLSSkipVerify,
		Namespace:     first(v.Namespace, "NAMESPACE"),
		Connections:   file.TemplateConfig.MaxConnectionsPerHost,
		Transport:     opts.Transport,
	}
}

func newOutput(file *config.File, t config.Template) (*output, error) {
	tmpl, err := newTemplate(t.Text, t.Origin)
	if err != nil {
		return nil, err
	}
	hooks, err := newHooks(hooked(t), file.Notify)
	if err != nil {
		return nil, err
	}
	return &output{
		template: tmpl,
		file: sink.File{
			Path: t.Destination, Mode: t.Mode.FileMode(), Owner: string(t.Owner), Group: string(t.Group),
			CreateDirs: t.CreateDestDirs, Backup: t.Backup, InPlace: t.InPlace,
		},
		hooks:    hooks,
		checks:   newChecks(t.Reaction),
		policy:   leasePolicy(file, t),
		fatal:    t.Has("error_fatal") && t.ErrorFatal,
		maxStale: time.Duration(cmp.Or(t.MaxStale, file.Lease.MaxStale)),
	}, nil
}

func leasePolicy(file *config.File, t config.Template) schedule.Policy {
	p := schedule.Policy{
		RenewAt: file.Lease.RenewAt,
		Jitter:  file.Lease.Jitter,
		Overlap: time.Duration(file.Lease.Overlap),
		Static:  time.Duration(file.TemplateConfig.StaticSecretRenderInterval),
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
	return p.WithDefaults()
}

// newTemplate makes what is rendered: a template, or a secret written out in a
// format.
func newTemplate(t config.Text, o config.Origin) (*templates.Template, error) {
	if t.Secret != "" {
		name := o.Where("secret").String() + ": secret"
		return templates.NewFormat(templates.FormatConfig{Name: name, Format: templates.Format(t.Format), Secrets: []string{t.Secret}})
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
