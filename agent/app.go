package agent

import (
	"context"
	"fmt"

	"github.com/novatech/securevault/agent/config"
	"github.com/novatech/securevault/sink"
)

// checkApp returns what would keep the child from starting, or the socket of
// credentials from being made.
func checkApp(file *config.File, c *child, credentials *sink.Credentials) error {
	if c != nil {
		if err := c.Check(); err != nil {
			return failure{ExitConfig, fmt.Errorf("%s: %w", file.Child.At, err)}
		}
	}
	if credentials != nil {
		if err := credentials.Check(); err != nil {
			return failure{ExitSink, err}
		}
	}
	return nil
}

// beginApp begins to supervise the child, and to serve credentials.
func (a *Agent) beginApp(ctx context.Context) {
	if a.child != nil && a.endChild == nil {
		a.endChild = a.begin(ctx, a.child.Run)
	}
	if a.credentials != nil && a.endCredentials == nil {
		a.endCredentials = a.begin(ctx, func(ctx context.Context) error { return classed(ExitSink, a.credentials.Run(ctx)) })
	}
}

// replaceApp stops the child, and the socket of credentials, if the next
// configuration has another, and begins that. The child starts when everything
// is rendered.
func (a *Agent) replaceApp(ctx context.Context, next *successor) {
	if next.builder.child != a.child {
		if a.endChild != nil {
			a.endChild()
		}
		a.child, a.endChild, a.launched = next.builder.child, nil, false
	}
	if next.builder.credentials != a.credentials {
		if a.endCredentials != nil {
			a.endCredentials()
		}
		a.credentials, a.endCredentials = next.builder.credentials, nil
	}
	a.beginApp(ctx)
}
