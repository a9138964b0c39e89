package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"

	"github.com/hashicorp/go-hclog"
)

// followHangups reloads at every SIGHUP.
func (p *process) followHangups(ctx context.Context) error {
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-hangups:
		}
		if err := errors.Join(p.renew(), p.reconfigure()); err != nil {
			p.logger.Error("reloading", "error", err)
			continue
		}
		p.logger.Info("reloaded certificates, log files, lease_limits, alerts, smtp and log_level; the rest is read at the start only")
	}
}

// renew takes certificates and log files anew.
func (p *process) renew() error {
	var failed []error
	if p.log != nil {
		failed = append(failed, p.log.reopen())
	}
	for _, e := range p.entrances {
		failed = append(failed, e.Reload())
	}
	if c, err := p.server.Core(); err == nil { // a sealed server has no devices open
		failed = append(failed, c.ReopenAudit())
	}
	return errors.Join(failed...)
}

// reconfigure takes over what may change while the server runs. A configuration
// with a mistake changes nothing.
func (p *process) reconfigure() error {
	f, err := p.options.configuration()
	if err != nil {
		return err
	}
	rules, targets, err := alertsOf(f)
	if err != nil {
		return err
	}
	for _, warning := range f.Warnings {
		p.logger.Warn(warning.String())
	}
	p.limits.set(f.LeaseLimits)
	p.alerts.Replace(rules, targets)
	p.logger.SetLevel(hclog.LevelFromString(f.LogLevel))
	return nil
}
