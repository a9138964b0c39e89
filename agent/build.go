package agent

import (
	"cmp"
	"net/http"
	"time"

	"go.uber.org/zap"

	"github.com/novatech/securevault/agent/auth"
	"github.com/novatech/securevault/agent/config"
	"github.com/novatech/securevault/agent/state"
	"github.com/novatech/securevault/agent/systemd"
	"github.com/novatech/securevault/internal/vault"
)

// Options are what the command line adds to the configuration.
type Options struct {
	Log      *zap.Logger
	Getenv   func(name string) string
	Once     bool                    // end when everything is rendered and told
	Deadline time.Duration           // of a run that is to end by itself; 0 for none
	Server   vault.Config            // what the command line says of it; the rest is left to environment and configuration
	Settled  func()                  // called when everything was rendered for the first time
	Reloaded func(file *config.File) // called when another configuration is in force
	State    *state.Log              // what outlives the agent; nil for nothing
	// Transport carries the requests; nil for the network.
	Transport http.RoundTripper
}

// New composes an agent. It reads the templates, but touches neither the
// server nor any destination. The error names every template that is wrong.
func New(file *config.File, opts Options) (*Agent, error) {
	if opts.Reloaded == nil {
		opts.Reloaded = func(*config.File) {}
	}
	a := &Agent{
		opts:         opts,
		started:      time.Now(),
		log:          opts.Log,
		pidFile:      file.PIDFile,
		file:         file,
		reloads:      make(chan *config.File, 1),
		checks:       make(chan *switching),
		once:         opts.Once || file.ExitAfterAuth,
		revokeOnExit: file.RevokeOnExit,
		retries:      retries(file),
		settle:       opts.Settled,
	}
	a.redactor = newRedactor(func() vault.Token { return a.holder.Load().Token() })
	a.announcer = newAnnouncer(opts.Log, a.redactor)
	if a.settle == nil {
		a.settle = func() {}
	}
	if a.once {
		a.deadline = opts.Deadline
	}
	var journal auth.Journal
	if opts.State != nil {
		journal = opts.State
	}
	var err error
	if a.station, err = newStation(file, opts, journal, 0); err != nil {
		return nil, err
	}
	a.holder.Store(a.keeper)
	if err := a.lease(file, opts, nil); err != nil {
		return nil, err
	}
	if a.tokens, err = newTokens(file, a.clients.auth, opts); err != nil {
		return nil, err
	}
	if a.front, err = a.newFront(file, a.station); err != nil {
		return nil, err
	}
	if a.service, err = systemd.New(opts.Getenv); err != nil {
		return nil, failure{ExitConfig, err}
	}
	b := newBuilder(file, opts)
	a.child, a.credentials = b.child, b.credentials
	a.outputs, err = b.outputs()
	return a, err
}

// retries returns how many failed requests for one secret end a daemon, -1 for
// no end.
func retries(file *config.File) int {
	if file.TemplateConfig.ExitOnRetryFailure {
		return file.Vault.Retry.Limit()
	}
	return -1
}

// clientConfig says how to reach the server: the command line before the
// environment before the file.
func clientConfig(file *config.File, opts Options) vault.Config {
	first := func(flag, fallback, name string) string {
		return cmp.Or(flag, opts.Getenv("SECUREVAULT_"+name), opts.Getenv("VAULT_"+name), fallback)
	}
	v, flags := file.Vault, opts.Server
	return vault.Config{
		Address:       first(flags.Address, v.Address, "ADDR"),
		CACert:        first(flags.CACert, v.CACert, "CACERT"),
		CAPath:        first(flags.CAPath, v.CAPath, "CAPATH"),
		ClientCert:    first(flags.ClientCert, v.ClientCert, "CLIENT_CERT"),
		ClientKey:     first(flags.ClientKey, v.ClientKey, "CLIENT_KEY"),
		TLSServerName: first(flags.TLSServerName, v.TLSServerName, "TLS_SERVER_NAME"),
		TLSSkipVerify: flags.TLSSkipVerify || v.TLSSkipVerify,
		Namespace:     first(flags.Namespace, v.Namespace, "NAMESPACE"),
		Connections:   file.TemplateConfig.MaxConnectionsPerHost,
		Transport:     opts.Transport,
	}
}
