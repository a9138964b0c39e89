package agent

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"

	"go.uber.org/zap"

	"github.com/novatech/securevault/agent/config"
	"github.com/novatech/securevault/sink"
)

// Reload puts a new configuration in the place of the running one, as soon as
// the agent gets to it. What is wanted before and after keeps its lease, and
// a file whose content does not change is not touched. A configuration that
// cannot be used changes nothing. It does not block; of several
// configurations that wait, the last one counts.
func (a *Agent) Reload(file *config.File) {
	select {
	case <-a.reloads:
	default:
	}
	a.reloads <- file
}

// reconfigure takes over the outputs of a new configuration.
func (a *Agent) reconfigure(file *config.File) {
	a.untold(a.service.Reloading())
	next := &Agent{}
	err := next.addOutputs(file)
	if err == nil {
		err = checkDestinations(next.tokens, next.outputs)
	}
	if err != nil {
		a.log.Error(notReloaded, zap.Error(err))
		a.untold(a.service.Ready("the old configuration is in force"))
		return
	}
	if !a.sameSetUp(file) {
		a.log.Warn("of this configuration only what is rendered is taken over; the rest takes effect with the next start")
	}
	sink.Sweep(time.Now(), next.files()...)
	for _, o := range next.outputs {
		o.follow(a.outputs)
	}
	a.file, a.outputs, a.ready = file, next.outputs, false
	a.log.Info("configuration reloaded", zap.Int("templates", len(a.outputs)))
}

// sameSetUp reports whether a configuration differs from the one in force at
// most in what is rendered.
func (a *Agent) sameSetUp(file *config.File) bool {
	now := a.file
	return config.Same(now.Vault, file.Vault) && config.Same(now.AutoAuth, file.AutoAuth) && config.Same(now.State, file.State) &&
		config.Same(now.Listeners, file.Listeners) && config.Same(now.APIProxy, file.APIProxy) &&
		config.Same(now.Cache, file.Cache) && config.Same(now.Telemetry, file.Telemetry)
}

const notReloaded = "the new configuration cannot be used; the old one stays in force"

// follow takes over what the file holds from the output that wrote it so far:
// its secrets stay alive until this one has published its own.
func (o *output) follow(before []*output) {
	for _, old := range before {
		if old.file.Path == o.file.Path {
			o.live, o.published = old.live, old.published
			o.generation, o.changed = old.generation, old.changed
		}
	}
}

// reloadOnHangup loads the configuration anew on each SIGHUP until ctx ends.
func (a *Agent) reloadOnHangup(ctx context.Context, load func() (*config.File, error)) {
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangups:
		}
		file, err := load()
		if err != nil {
			a.log.Error(notReloaded, zap.Error(err))
			continue
		}
		a.Reload(file)
	}
}
