package database

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"
)

// retiredPrefix is where configs are stored that were deleted. They issue nothing any
// more, but the users that they have issued live on to the end of their leases, and
// then have to be ended.
const retiredPrefix = "retired/"

// retirement is how much longer than the longest lease a deleted config is kept: the
// database may be away when a user is to end.
const retirement = 7 * 24 * time.Hour

func loadRetired(ctx context.Context, storage logical.Storage, name string) (*config, error) {
	return loadConfigAt(ctx, storage, retiredPrefix+name)
}

// loadLastConfig returns the config of that name, or the one that was deleted last.
func loadLastConfig(ctx context.Context, storage logical.Storage, name string) (*config, error) {
	stored, err := loadConfig(ctx, storage, name)
	if stored != nil || err != nil {
		return stored, err
	}
	return loadRetired(ctx, storage, name)
}

// deleteConfig retires a config. One that is retired already is forgotten.
func (b *backend) deleteConfig(ctx context.Context, req *logical.Request, data *framework.FieldData) (*logical.Response, error) {
	name := data.Get("name").(string)
	conn := b.connections.get(name)
	if err := conn.lock(ctx); err != nil {
		return fail(err)
	}
	defer conn.unlock()
	left, err := staticRolesOf(ctx, req.Storage, name)
	if err != nil {
		return nil, err
	}
	if len(left) > 0 {
		return refuse("config %q is used by the static roles %s, whose passwords would not be rotated any more: delete them first",
			name, strings.Join(slices.Sorted(maps.Keys(left)), ", "))
	}
	stored, err := loadConfig(ctx, req.Storage, name)
	if err != nil {
		return nil, err
	}
	defer conn.replace(nil)
	if stored == nil {
		return nil, b.forgetRetired(ctx, req.Storage, name)
	}
	return b.retire(ctx, req.Storage, name, stored)
}

func (b *backend) retire(ctx context.Context, storage logical.Storage, name string, stored *config) (*logical.Response, error) {
	stored.key = retiredPrefix + name
	stored.RetiredUntil = time.Now().Add(b.System().MaxLeaseTTL() + retirement).UTC()
	if err := stored.save(ctx, storage); err != nil {
		return nil, err
	}
	if err := storage.Delete(ctx, configPrefix+name); err != nil {
		return nil, fmt.Errorf("deleting config %q: %w", name, err)
	}
	response := &logical.Response{}
	response.AddWarning(fmt.Sprintf("config %q issues nothing any more; what it logs in with is kept until %s, to end the users that it has issued: delete it once more to forget it now",
		name, stored.RetiredUntil.Format(time.DateOnly)))
	return response, nil
}

func (b *backend) forgetRetired(ctx context.Context, storage logical.Storage, name string) error {
	if err := storage.Delete(ctx, retiredPrefix+name); err != nil {
		return fmt.Errorf("forgetting the deleted config %q: %w", name, err)
	}
	return nil
}

// forgetOver forgets the retired configs whose time is over.
func (b *backend) forgetOver(ctx context.Context, req *logical.Request) error {
	names, err := req.Storage.List(ctx, retiredPrefix)
	if err != nil {
		return fmt.Errorf("listing deleted configs: %w", err)
	}
	for _, name := range names {
		if err := b.forgetIfOver(ctx, req.Storage, name); err != nil {
			return err
		}
	}
	return nil
}

func (b *backend) forgetIfOver(ctx context.Context, storage logical.Storage, name string) error {
	conn := b.connections.get(name)
	if err := conn.lock(ctx); err != nil {
		return err
	}
	defer conn.unlock()
	retired, err := loadRetired(ctx, storage, name)
	if retired == nil || err != nil || time.Now().Before(retired.RetiredUntil) {
		return err
	}
	conn.replace(nil)
	return b.forgetRetired(ctx, storage, name)
}
