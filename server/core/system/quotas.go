package system

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/novatech/securevault/server/core/endpoint"
	"github.com/novatech/securevault/server/core/quota"
)

func (b *backend) quotaPaths() []*framework.Path {
	return []*framework.Path{
		endpoint.New("quotas/config", "Reads or writes what holds for all rate limits.", endpoint.Fields{
			"rate_limit_exempt_paths":            {Type: framework.TypeCommaStringSlice, Description: "Paths that no rate limit holds for; * at the end stands for anything."},
			"absolute_rate_limit_exempt_paths":   {Type: framework.TypeCommaStringSlice, Description: "The same: there are no namespaces."},
			"enable_rate_limit_audit_logging":    endpoint.Flag("Tell the audit devices of what is refused."),
			"enable_rate_limit_response_headers": endpoint.Flag("Not supported: what is refused has the headers in any case."),
		}, endpoint.Operations{
			logical.ReadOperation:   b.readQuotaSettings,
			logical.UpdateOperation: b.writeQuotaSettings,
		}),
		endpoint.New("quotas/rate-limit/?", "Lists the rate limits.", nil, endpoint.Operations{logical.ListOperation: b.listQuotas}),
		endpoint.New("quotas/rate-limit/"+namePattern, "Reads, writes or deletes a rate limit.", endpoint.Fields{
			"name":           endpoint.Text("Name of the rate limit."),
			"path":           endpoint.Text("Empty for everything, a mount like database/, a path, or its beginning and *."),
			"rate":           {Type: framework.TypeFloat, Description: "Requests that an address may send in an interval."},
			"interval":       {Type: framework.TypeDurationSecond, Default: 1, Description: "The interval."},
			"block_interval": {Type: framework.TypeDurationSecond, Description: "How long an address that went over is refused."},
			"type":           endpoint.Text("Kept for clients that send it."),
			"role":           endpoint.Text("Not supported."),
		}, endpoint.Operations{
			logical.ReadOperation:   b.readQuota,
			logical.UpdateOperation: b.writeQuota,
			logical.DeleteOperation: b.deleteQuota,
		}),
	}
}

func (b *backend) listQuotas(context.Context, *logical.Request, *framework.FieldData) (*logical.Response, error) {
	return logical.ListResponse(b.Quotas.Names()), nil
}

func (b *backend) readQuota(_ context.Context, _ *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	r, ok := b.Quotas.Get(d.Get("name").(string))
	if !ok {
		return nil, nil
	}
	return &logical.Response{Data: map[string]any{
		"name": r.Name, "path": r.Path, "type": "rate-limit", "rate": r.Rate, "role": "",
		"interval": int64(r.Interval.Seconds()), "block_interval": int64(r.Block.Seconds()),
	}}, nil
}

func (b *backend) writeQuota(ctx context.Context, _ *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	if d.Get("role").(string) != "" {
		return logical.ErrorResponse("role is not supported: limit the path of the login instead"), nil
	}
	path := d.Get("path").(string)
	if _, err := b.Mounts.Get(path); path != "" && err == nil && path[len(path)-1] != '/' {
		path += "/" // a mount is meant as a whole
	}
	err := b.Quotas.Put(ctx, quota.Rule{
		Name: d.Get("name").(string), Path: path, Rate: d.Get("rate").(float64),
		Interval: time.Duration(d.Get("interval").(int)) * time.Second,
		Block:    time.Duration(d.Get("block_interval").(int)) * time.Second,
	})
	return nil, quotaError(err)
}

// quotaError makes what the client can mend a bad request.
func quotaError(err error) error {
	if errors.Is(err, quota.ErrInvalid) {
		return logical.CodedError(http.StatusBadRequest, err.Error())
	}
	return err
}

func (b *backend) readQuotaSettings(context.Context, *logical.Request, *framework.FieldData) (*logical.Response, error) {
	s := b.Quotas.Settings()
	return &logical.Response{Data: map[string]any{
		"rate_limit_exempt_paths": append([]string{}, s.Exempt...), "absolute_rate_limit_exempt_paths": append([]string{}, s.Absolute...),
		"enable_rate_limit_audit_logging": s.Audit, "enable_rate_limit_response_headers": false,
	}}, nil
}

func (b *backend) writeQuotaSettings(ctx context.Context, _ *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	if d.Get("enable_rate_limit_response_headers").(bool) {
		return logical.ErrorResponse("enable_rate_limit_response_headers is not supported: an answer 429 has the headers in any case, others have none"), nil
	}
	s := b.Quotas.Settings()
	if paths, ok := d.GetOk("rate_limit_exempt_paths"); ok {
		s.Exempt = paths.([]string)
	}
	if paths, ok := d.GetOk("absolute_rate_limit_exempt_paths"); ok {
		s.Absolute = paths.([]string)
	}
	if audit, ok := d.GetOk("enable_rate_limit_audit_logging"); ok {
		s.Audit = audit.(bool)
	}
	return nil, quotaError(b.Quotas.Set(ctx, s))
}

func (b *backend) deleteQuota(ctx context.Context, _ *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	return nil, b.Quotas.Delete(ctx, d.Get("name").(string))
}
