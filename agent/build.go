package agent

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"syscall"
	"time"

	"go.uber.org/zap"

	"github.com/novatech/securevault/agent/auth"
	"github.com/novatech/securevault/agent/config"
	"github.com/novatech/securevault/agent/lease"
	"github.com/novatech/securevault/agent/notify"
	"github.com/novatech/securevault/agent/schedule"
	"github.com/novatech/securevault/agent/state"
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
		if !file.Has("revoke_on_exit") {
			a.revokeOnExit = false // the next start adopts what this one holds
		}
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
	return a, a.addOutputs(file)
}

// addOutputs adds what the agent writes: token sinks and templates.
func (a *Agent) addOutputs(file *config.File) error {
	if file.AutoAuth != nil {
		for _, s := range file.AutoAuth.Sinks {
			a.tokens = append(a.tokens, sink.File{
				Path: s.File.Path, Mode: s.File.Mode.FileMode(), Owner: string(s.File.Owner), Group: string(s.File.Group), CreateDirs: true,
			})
		}
	}
	var errs []error
	for _, t := range file.Templates {
		o, err := newOutput(file, t)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		a.outputs = append(a.outputs, o)
	}
	if err := errors.Join(errs...); err != nil {
		return failure{ExitTemplate, err}
	}
	return nil
}

// clientConfig says how to reach the server: the command line before the
// environment before the file.
func clientConfig(file *config.File, opts Options) vault.Config {
	first := func(fallback string, names ...string) string {
		for _, name := range names {
			for _, prefix := range []string{"SECUREVAULT_", "VAULT_"} {
				if value := opts.Getenv(prefix + name); value != "" {
					return value
				}
			}
		}
		return fallback
	}
	v := file.Vault
	cfg := vault.Config{
		Address:       first(v.Address, "ADDR"),
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
	if opts.Address != "" {
		cfg.Address = opts.Address
	}
	return cfg
}

// newKeeper returns the keeper for the configured method or, without one, for
// the token of the environment.
func newKeeper(autoAuth *config.AutoAuth, client *vault.Client, opts Options) (*auth.Keeper, error) {
	cfg := auth.Config{Server: client, Log: opts.Log}
	if opts.State != nil {
		cfg.Journal = opts.State
	}
	if autoAuth == nil {
		token := opts.Getenv("SECUREVAULT_TOKEN")
		if token == "" {
			token = opts.Getenv("VAULT_TOKEN")
		}
		if token == "" {
			return nil, failure{ExitAuth, errors.New("there is no auto_auth stanza and VAULT_TOKEN is not set; add one or set the other")}
		}
		cfg.Method = auth.NewToken(vault.Sensitive(token))
		return auth.New(cfg), nil
	}
	m := autoAuth.Method
	mount := m.MountPath
	if mount == "" {
		mount = "auth/" + m.Type
	}
	switch {
	case m.AppRole != nil:
		cfg.Method = auth.NewAppRole(mount, m.AppRole.RoleIDFilePath, m.AppRole.SecretIDFilePath, m.AppRole.RemoveSecretID)
	case m.TokenFile != nil:
		cfg.Method = auth.NewTokenFile(m.TokenFile.Path)
	default:
		return nil, failure{ExitConfig, fmt.Errorf("%s: the method %q is not supported", m.At, m.Type)}
	}
	cfg.ExitOnErr = m.ExitOnErr
	cfg.Policy = schedule.Policy{Floor: time.Duration(m.MinBackoff), Ceiling: time.Duration(m.MaxBackoff)}
	return auth.New(cfg), nil
}

func newOutput(file *config.File, t config.Template) (*output, error) {
	name := t.Source
	if name == "" {
		name = t.Where("contents").String() + ": contents"
	}
	tmpl, err := templates.New(templates.Config{
		Name: name, Source: t.Source, Contents: t.Contents, LeftDelim: t.LeftDelimiter, RightDelim: t.RightDelimiter,
		ErrOnMissingKey: t.ErrorOnMissing, Denylist: t.FunctionDenylist, Sandbox: t.SandboxPath,
	})
	if t.Source != "" && errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%s: %w; check the path of source", t.Where("source"), err)
	}
	if err != nil {
		return nil, err
	}
	return &output{
		template: tmpl,
		file: sink.File{
			Path: t.Destination, Mode: t.Mode.FileMode(), Owner: string(t.Owner), Group: string(t.Group),
			CreateDirs: t.CreateDestDirs, Backup: t.Backup,
		},
		hooks:  hooks(file, t),
		policy: leasePolicy(file, t),
		fatal:  t.Has("error_fatal") && t.ErrorFatal,
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
	return p.WithDefaults()
}

// hooks returns whom a change of a template is told to, in order: its own
// command, its notifications, then those of every template.
func hooks(file *config.File, t config.Template) []notify.Notifier {
	var out []notify.Notifier
	if command, timeout := t.Hook(); !command.IsZero() {
		out = append(out, notify.Command{Args: command.Args, Line: command.Line, Timeout: time.Duration(timeout)})
	}
	for _, n := range append(t.Notify, file.Notify...) {
		if n.Type == "command" {
			out = append(out, notify.Command{Args: n.Command.Args, Line: n.Command.Line, Timeout: time.Duration(n.Timeout)})
			continue
		}
		out = append(out, notify.Signal{Signal: syscall.Signal(n.Signal), PID: n.PID, PIDFile: n.PIDFile, Process: n.Process})
	}
	return out
}
