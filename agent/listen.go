package agent

import (
	"context"
	"errors"

	"github.com/novatech/securevault/agent/admin"
	"github.com/novatech/securevault/agent/config"
	"github.com/novatech/securevault/internal/vault"
	"github.com/novatech/securevault/sink"
)

// serve adds what the agent answers on, and where its figures go. A run that
// is to end by itself answers nobody.
func (a *Agent) serve(file *config.File, client *vault.Client) error {
	if a.once || len(file.Listeners) == 0 && file.Telemetry == nil {
		return nil
	}
	a.view = newView(a, client.Address())
	cfg := admin.Config{
		Source: a.view,
		Log:    a.log,
		Proxy:  admin.Proxy{Upstream: client, Lending: lending(file), Cache: file.Cache != nil},
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
	if err := errors.Join(errs...); err != nil {
		return failure{ExitConfig, err}
	}
	var err error
	if a.admin, err = admin.New(cfg); err != nil {
		return failure{ExitConfig, err}
	}
	return nil
}

// answer answers on the listeners until ctx ends.
func (a *Agent) answer(ctx context.Context) error {
	if a.admin == nil {
		return nil
	}
	return classed(ExitInternal, a.admin.Run(ctx))
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

// listen binds the listeners before anything is issued.
func (a *Agent) listen() error {
	if a.admin == nil {
		return nil
	}
	if err := a.admin.Open(); err != nil {
		return failure{ExitConfig, err}
	}
	return nil
}

// asked returns what the supply loop is asked, nil when nobody asks.
func (v *view) asked() <-chan func() {
	if v == nil {
		return nil
	}
	return v.questions
}
