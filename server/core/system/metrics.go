package system

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/novatech/securevault/server/core/endpoint"
	"github.com/novatech/securevault/server/core/metric"
)

func (b *backend) metricPaths() []*framework.Path {
	return []*framework.Path{
		endpoint.New("metrics", "Shows the server's metrics.", endpoint.Fields{
			"format": endpoint.Text("prometheus, or nothing for JSON."),
		}, endpoint.Operations{logical.ReadOperation: b.readMetrics}),
	}
}

func (b *backend) readMetrics(_ context.Context, _ *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	kind, body := "application/json", []byte(nil)
	var err error
	switch format := d.Get("format").(string); {
	case b.Metrics == nil:
		return logical.ErrorResponse("this server keeps no metrics"), nil
	case format == "":
		body, err = json.Marshal(b.Metrics.Summary())
	case format == "prometheus":
		kind = metric.TextType()
		body, err = b.Metrics.Text()
	default:
		return logical.ErrorResponse(fmt.Sprintf("format %q is not known; use prometheus, or nothing for JSON", format)), nil
	}
	if err != nil {
		return nil, err
	}
	return &logical.Response{Data: map[string]any{
		logical.HTTPStatusCode: http.StatusOK, logical.HTTPContentType: kind, logical.HTTPRawBody: body,
	}}, nil
}
