package system

import (
	"context"
	"fmt"
	"time"

	"github.com/hashicorp/go-secure-stdlib/parseutil"
	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/novatech/securevault/server/core/endpoint"
	"github.com/novatech/securevault/server/core/lockout"
	"github.com/novatech/securevault/server/core/mount"
)

func (b *backend) lockoutPaths() []*framework.Path {
	accessor := endpoint.Text("Accessor of the auth method.")
	return []*framework.Path{
		endpoint.New("locked-users/?", "Shows who is locked out.", endpoint.Fields{
			"mount_accessor": accessor,
		}, endpoint.Operations{
			logical.ReadOperation: b.lockedUsers,
		}),
		endpoint.Update("locked-users/(?P<mount_accessor>[^/]+)/unlock/(?P<alias_identifier>.+)", "Lets a user log in again at once.",
			endpoint.Fields{"mount_accessor": accessor, "alias_identifier": endpoint.Text("Name of the user.")}, b.unlockUser),
	}
}

// lockedUsers answers in the shape that clients know, in which the only
// namespace is the root.
func (b *backend) lockedUsers(_ context.Context, _ *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	wanted := d.Get("mount_accessor").(string)
	var accessors []string // in the order of Locked
	aliases := map[string][]string{}
	total := 0
	for _, name := range b.Lockout.Locked() {
		if wanted != "" && name.Mount != wanted {
			continue
		}
		if aliases[name.Mount] == nil {
			accessors = append(accessors, name.Mount)
		}
		aliases[name.Mount] = append(aliases[name.Mount], name.Alias)
		total++
	}
	mounts := make([]map[string]any, len(accessors))
	for i, accessor := range accessors {
		mounts[i] = map[string]any{
			"mount_accessor": accessor, "alias_identifiers": aliases[accessor], "counts": len(aliases[accessor]),
		}
	}
	namespace := map[string]any{"namespace_id": "root", "namespace_path": "", "counts": total, "mount_accessors": mounts}
	return &logical.Response{Data: map[string]any{"by_namespace": []map[string]any{namespace}, "total": total}}, nil
}

func (b *backend) unlockUser(ctx context.Context, _ *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	name := lockout.NewName(d.Get("mount_accessor").(string), d.Get("alias_identifier").(string))
	return nil, b.Lockout.Unlock(ctx, name)
}

// configureLockout applies a user_lockout_config, in which what is absent
// stays as it is.
func configureLockout(s *lockout.Settings, sent any) error {
	fields, _ := sent.(map[string]any)
	if raw, ok := fields["lockout_threshold"]; ok {
		threshold, err := parseutil.ParseInt(raw)
		if err != nil || threshold < 0 {
			return fmt.Errorf("lockout_threshold: %v is not a number of failed logins; 0 stands for the server's", raw)
		}
		s.Threshold = int(threshold)
	}
	for field, into := range map[string]*time.Duration{
		"lockout_duration": &s.Duration, "lockout_counter_reset_duration": &s.CounterReset,
	} {
		raw, ok := fields[field]
		if !ok {
			continue
		}
		parsed, err := parseutil.ParseDurationSecond(raw)
		if err != nil || parsed < 0 {
			return fmt.Errorf("%s: %v is not a duration; write it like 90s, 15m or 3600", field, raw)
		}
		*into = parsed
	}
	if raw, ok := fields["lockout_disable"]; ok {
		disabled, err := parseutil.ParseBool(raw)
		if err != nil {
			return fmt.Errorf("lockout_disable: %v is neither true nor false", raw)
		}
		s.Disabled = disabled
	}
	return nil
}

// describeLockout adds what was tuned. Durations are in seconds; 0 stands for
// the server's own.
func describeLockout(data map[string]any, e *mount.Entry) {
	if s := e.Config.Lockout; s != (lockout.Settings{}) {
		data["user_lockout_threshold"] = s.Threshold
		data["user_lockout_duration"] = int64(s.Duration.Seconds())
		data["user_lockout_counter_reset_duration"] = int64(s.CounterReset.Seconds())
		data["user_lockout_disable"] = s.Disabled
	}
}
