package agent

import (
	"context"
	"errors"

	"github.com/novatech/securevault/agent/admin"
	"github.com/novatech/securevault/agent/config"
	"github.com/novatech/securevault/sink"
)

// front is where the agent answers, and what it sees of the agent.
type front struct {
	admin    *admin.Server // nil for nobody to answer to
	view     *view         // nil without it
	endFront func()        // ends the answers; nil before they have begun
}

// newFront returns a front that does not listen yet. A run that is to end by
// itself answers nobody.
func (a *Agent) newFront(file *config.File, s *station) (*front, error) {
	if a.once || len(file.Listeners) == 0 && file.Telemetry == nil {
		return &front{}, nil
	}
	f := &front{view: newView(a, s.clients.proxy.Address())}
	cfg := admin.Config{
		Source: f.view,
		Log:    a.log,
		Proxy:  admin.Proxy{Upstream: s.clients.proxy, Lending: lending(file), Cache: file.Cache != nil},
	}
	var errs []error
	for _, l := range file.Listeners {
		listener, err := listener(l)
		errs = append(errs, err)
		cfg.Listeners = append(cfg.Listeners, listener)
	}
	if t := file.Telemetry; t != nil {
		cfg.Telemetry = telemetry(t)
	}
	err := errors.Join(errs...)
	if err == nil {
		f.admin, err = admin.New(cfg)
	}
	if err != nil {
		return nil, failure{ExitConfig, err}
	}
	return f, nil
}

// listen binds the listeners, all or none.
func (f *front) listen() error {
	if f.admin == nil {
		return nil
	}
	if err := f.admin.Open(); err != nil {
		return failure{ExitConfig, err}
	}
	return nil
}

// answer begins to answer on the listeners that are bound.
func (a *Agent) answer(ctx context.Context, f *front) {
	a.front = f
	if f.admin != nil {
		f.endFront = a.begin(ctx, func(ctx context.Context) error { return classed(ExitInternal, f.admin.Run(ctx)) })
	}
}

// turn has the agent answer on other listeners. If these cannot be bound it
// goes on with those of the configuration in force.
func (a *Agent) turn(ctx context.Context, next *front) error {
	if a.endFront != nil {
		close(a.view.over)
		a.endFront()
	}
	err := next.listen()
	if err == nil {
		a.answer(ctx, next)
		return nil
	}
	old, oldErr := a.newFront(a.file, a.station)
	if oldErr == nil {
		if oldErr = old.listen(); oldErr == nil {
			a.answer(ctx, old)
			return err
		}
	}
	a.front = &front{}
	return errors.Join(err, oldErr)
}

// lending tells to whose requests the agent's token goes. What api_proxy says
// goes before what cache says.
func lending(file *config.File) admin.Lending {
	use := config.UseCallers
	if file.Cache != nil {
		use = file.Cache.UseAutoAuthToken
	}
	if file.APIProxy != nil && file.APIProxy.Has("use_auto_auth_token") {
		use = file.APIProxy.UseAutoAuthToken
	}
	return map[config.UseToken]admin.Lending{
		config.UseCallers: admin.LendNever, config.UseOwn: admin.LendMissing, config.ForceOwn: admin.LendAlways,
	}[use]
}

func listener(l config.Listener) (admin.Listener, error) {
	uid, gid, err := sink.Account(string(l.SocketOwner), string(l.SocketGroup))
	out := admin.Listener{
		Network: l.Type, Address: l.Address, MetricsOnly: l.Role == "metrics_only",
		RequireHeader: l.RequireRequestHeader, Quit: l.AgentAPI.EnableQuit,
		SocketMode: l.SocketMode.FileMode(), SocketUID: uid, SocketGID: gid,
	}
	// A socket needs no TLS: the file system says who may call.
	if !l.TLSDisable && (l.Type == "tcp" || l.TLSCertFile != "") {
		out.TLS = &admin.TLS{
			CertFile: l.TLSCertFile, KeyFile: l.TLSKeyFile, MinVersion: l.TLSMinVersion, MaxVersion: l.TLSMaxVersion,
			CipherSuites: l.TLSCipherSuites, ClientCAFile: l.TLSClientCAFile, RequireClient: l.TLSRequireClientCert,
		}
	}
	return out, err
}

func telemetry(t *config.Telemetry) admin.Telemetry {
	return admin.Telemetry{
		Statsd: t.StatsdAddress, Statsite: t.StatsiteAddress, Dogstatsd: t.DogstatsdAddr, DogstatsdTags: t.DogstatsdTags,
		Prefix: t.MetricsPrefix, Hostname: !t.DisableHostname, HostnameLabel: t.EnableHostnameLabel,
		HoldBack: !t.FilterDefault, PrefixFilter: t.PrefixFilter,
	}
}

// asked returns what the supply loop is asked, nil when nobody asks.
func (v *view) asked() <-chan func() {
	if v == nil {
		return nil
	}
	return v.questions
}
