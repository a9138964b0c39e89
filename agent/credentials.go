package agent

import (
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/novatech/securevault/agent/config"
	"github.com/novatech/securevault/sink"
)

// newCredentials returns the socket of a credentials stanza, nil without one.
func newCredentials(c *config.Credentials, log *zap.Logger) *sink.Credentials {
	if c == nil {
		return nil
	}
	cfg := sink.CredentialsConfig{
		Path: c.Socket, Mode: c.Mode.FileMode(), Owner: string(c.Owner), Group: string(c.Group), Log: log,
	}
	for _, one := range c.Credentials {
		cfg.Credentials = append(cfg.Credentials, sink.Credential{Name: one.Name, Unit: one.Unit})
	}
	return sink.NewCredentials(cfg)
}

// credential returns the output of one text that systemd may ask for.
func (b builder) credential(c config.Credential) (*output, error) {
	tmpl, err := newTemplate(c.Text, c.Origin)
	if err != nil {
		return nil, err
	}
	hooks, err := b.hooks(config.Reaction{}, b.file.Notify)
	if err != nil {
		return nil, err
	}
	served := sink.Credential{Name: c.Name, Unit: c.Unit}
	return &output{
		template: tmpl,
		place: &memory{
			name: fmt.Sprintf("credential %q of %s", c.Name, b.file.Credentials.Socket),
			fits: served.Fits,
			use: func(content []byte) {
				_ = b.credentials.Publish(map[sink.Credential][]byte{served: content}) // it fits
			},
			to: b.credentials,
		},
		hooks:    hooks,
		policy:   b.policy(config.Template{}),
		fatal:    c.Has("error_fatal") && c.ErrorFatal,
		maxStale: time.Duration(b.file.Lease.MaxStale),
	}, nil
}
