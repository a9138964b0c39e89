package system

import (
	"context"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/novatech/securevault/server/core/alert"
	"github.com/novatech/securevault/server/core/endpoint"
)

func (b *backend) alertPaths() []*framework.Path {
	return []*framework.Path{
		endpoint.New("alerts/?", "Shows the alerts and their states.", nil, endpoint.Operations{logical.ReadOperation: b.listAlerts}),
		endpoint.New("alerts/export", "Shows the alerts as rules of Prometheus.", nil, endpoint.Operations{logical.ReadOperation: b.exportAlerts}),
	}
}

func (b *backend) listAlerts(context.Context, *logical.Request, *framework.FieldData) (*logical.Response, error) {
	all := []map[string]any{}
	for _, a := range b.Alerts.Alerts() {
		shown := map[string]any{
			"name":        a.Rule.Name,
			"condition":   a.Rule.Condition.String(),
			"severity":    a.Rule.Severity,
			"for":         int64(a.Rule.For.Seconds()),
			"description": a.Rule.Description,
			"notify":      a.Rule.ShownTargets(),
			"state":       string(a.State),
			"value":       a.Value,
			"since":       nil,
			"error":       a.NotifyError,
		}
		if !a.Since.IsZero() {
			shown["since"] = a.Since.UTC()
		}
		all = append(all, shown)
	}
	return &logical.Response{Data: map[string]any{"alerts": all}}, nil
}

func (b *backend) exportAlerts(context.Context, *logical.Request, *framework.FieldData) (*logical.Response, error) {
	var rules []alert.Rule
	for _, a := range b.Alerts.Alerts() {
		rules = append(rules, a.Rule)
	}
	text, err := alert.Export(rules, b.Metrics.Prefix())
	if err != nil {
		return nil, err
	}
	return &logical.Response{Data: map[string]any{"rules": string(text)}}, nil
}
