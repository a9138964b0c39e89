package system

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"sync/atomic"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/novatech/securevault/server/core/endpoint"
	"github.com/novatech/securevault/server/store"
)

// corsKey is where the settings are kept.
const corsKey = "cors"

// CORS says which web pages of other origins may use the API. It is safe for
// concurrent use.
type CORS struct {
	storage logical.Storage
	current atomic.Pointer[corsSettings] // nil when disabled
}

type corsSettings struct {
	Origins []string `json:"allowed_origins"` // or "*"
	Headers []string `json:"allowed_headers"` // beyond the API's own
}

// NewCORS returns settings without origins.
func NewCORS(storage logical.Storage) *CORS { return &CORS{storage: storage} }

// Restore reads what was written.
func (c *CORS) Restore(ctx context.Context) error {
	settings, err := store.GetJSON[corsSettings](ctx, c.storage, corsKey)
	if err != nil {
		return err
	}
	c.current.Store(settings)
	return nil
}

// Allow reports whether pages of origin may use the API, and which headers
// they may send.
func (c *CORS) Allow(origin string) (headers []string, ok bool) {
	settings := c.current.Load()
	if settings == nil || !slices.Contains(settings.Origins, "*") && !slices.Contains(settings.Origins, origin) {
		return nil, false
	}
	return append(apiHeaders(), settings.Headers...), true
}

func apiHeaders() []string {
	return []string{
		"Authorization", "Content-Type", "X-Requested-With", "X-Vault-Namespace", "X-Vault-Request",
		"X-Vault-Token", "X-Vault-Wrap-TTL",
	}
}

func (b *backend) corsPaths() []*framework.Path {
	return []*framework.Path{
		endpoint.New("config/cors", "Shows or sets which web pages may use the API.", endpoint.Fields{
			"enable":          endpoint.Flag("Kept for clients that send it."),
			"allowed_origins": {Type: framework.TypeCommaStringSlice, Description: "Origins like https://app.example.com, or *."},
			"allowed_headers": {Type: framework.TypeCommaStringSlice, Description: "Headers beyond the API's own."},
		}, endpoint.Operations{
			logical.ReadOperation:   b.readCORS,
			logical.UpdateOperation: b.writeCORS,
			logical.DeleteOperation: b.deleteCORS,
		}),
	}
}

func (b *backend) readCORS(context.Context, *logical.Request, *framework.FieldData) (*logical.Response, error) {
	settings := b.CORS.current.Load()
	if settings == nil {
		return &logical.Response{Data: map[string]any{"enabled": false}}, nil
	}
	return &logical.Response{Data: map[string]any{
		"enabled":         true,
		"allowed_origins": settings.Origins,
		"allowed_headers": append(apiHeaders(), settings.Headers...),
	}}, nil
}

func (b *backend) writeCORS(ctx context.Context, _ *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	settings := &corsSettings{
		Origins: d.Get("allowed_origins").([]string),
		Headers: d.Get("allowed_headers").([]string),
	}
	if err := settings.check(); err != nil {
		return nil, logical.CodedError(http.StatusBadRequest, err.Error())
	}
	if err := store.PutJSON(ctx, b.CORS.storage, corsKey, settings); err != nil {
		return nil, err
	}
	b.CORS.current.Store(settings)
	return nil, nil
}

func (s *corsSettings) check() error {
	switch {
	case len(s.Origins) == 0:
		return errors.New("allowed_origins is missing: name origins like https://app.example.com, or *")
	case slices.Contains(s.Origins, "*") && len(s.Origins) > 1:
		return errors.New("allowed_origins: * stands alone, for it means every origin")
	}
	return nil
}

func (b *backend) deleteCORS(ctx context.Context, _ *logical.Request, _ *framework.FieldData) (*logical.Response, error) {
	if err := b.CORS.storage.Delete(ctx, corsKey); err != nil {
		return nil, err
	}
	b.CORS.current.Store(nil)
	return nil, nil
}
