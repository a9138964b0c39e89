package core

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"github.com/novatech/securevault/server/core/wrap"
)

// wrapTTL returns for how long the client wants the answer wrapped; 0 for not
// at all.
func wrapTTL(req *logical.Request) time.Duration {
	if req.WrapInfo == nil {
		return 0
	}
	return req.WrapInfo.TTL
}

// wrapUp puts the answer away, if the client asks for it, and answers with the
// token that takes it. Nothing, a refusal, and an answer that is no data (one
// just unwrapped among them) are not wrapped.
func (c *Core) wrapUp(ctx context.Context, cl *call, req *logical.Request, resp *logical.Response) (*logical.Response, error) {
	ttl := min(wrapTTL(req), c.config.MaxLeaseTTL)
	if ttl == 0 || resp == nil || resp.IsError() || resp.WrapInfo != nil || resp.Data[logical.HTTPStatusCode] != nil {
		return resp, nil
	}
	envelope := logical.LogicalResponseToHTTPResponse(resp)
	envelope.RequestID = req.ID
	body, err := json.Marshal(envelope)
	if err != nil {
		return nil, fmt.Errorf("encoding an answer to wrap it: %w", err)
	}
	answer := wrap.Answer{Body: body, Path: req.Path}
	if resp.Auth != nil {
		answer.Accessor = resp.Auth.Accessor
	}
	info, err := c.wraps.Wrap(ctx, answer, ttl)
	if err != nil {
		return nil, err
	}
	return &logical.Response{WrapInfo: info, MountType: cl.mount.Entry().Type}, nil
}
