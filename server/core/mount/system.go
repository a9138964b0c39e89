package mount

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/hashicorp/vault/sdk/helper/consts"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/hashicorp/vault/sdk/rotation"
)

// systemView is what an engine may know of the server. What is not overridden
// here answers with an error or a zero value, as the SDK's static view does.
type systemView struct {
	logical.StaticSystemView
	mount  *Mount
	server *Server
}

// Server is what every mount is told about the server.
type Server struct {
	DefaultLeaseTTL time.Duration
	MaxLeaseTTL     time.Duration
	// EngineTTLs are those of a type of engine, which go before the server's; 0
	// is none of its own. Nil is none for any.
	EngineTTLs func(engineType string) (byDefault, most time.Duration)
	Version    string
	// GeneratePassword makes a password after the named policy.
	GeneratePassword func(ctx context.Context, policy string) (string, error)
}

func (v *systemView) DefaultLeaseTTL() time.Duration {
	byDefault, _ := v.engineTTLs()
	ttl := cmp.Or(v.mount.Entry().Config.DefaultLeaseTTL, byDefault, v.server.DefaultLeaseTTL)
	return min(ttl, v.MaxLeaseTTL())
}

func (v *systemView) MaxLeaseTTL() time.Duration {
	_, most := v.engineTTLs()
	return cmp.Or(v.mount.Entry().Config.MaxLeaseTTL, most, v.server.MaxLeaseTTL)
}

func (v *systemView) engineTTLs() (byDefault, most time.Duration) {
	if v.server.EngineTTLs == nil || v.mount.Entry().IsAuth() {
		return 0, 0
	}
	return v.server.EngineTTLs(v.mount.Entry().Type)
}

func (v *systemView) Tainted() bool { return v.mount.closing.Load() }

func (v *systemView) LocalMount() bool { return v.mount.Entry().Local }

func (v *systemView) ReplicationState() consts.ReplicationState {
	return consts.ReplicationPerformanceDisabled | consts.ReplicationDRDisabled
}

func (v *systemView) VaultVersion(context.Context) (string, error) { return v.server.Version, nil }

func (v *systemView) PluginEnv(context.Context) (*logical.PluginEnvironment, error) {
	return &logical.PluginEnvironment{VaultVersion: v.server.Version}, nil
}

func (v *systemView) GeneratePasswordFromPolicy(ctx context.Context, policy string) (string, error) {
	password, err := v.server.GeneratePassword(ctx, policy)
	if err != nil {
		return "", fmt.Errorf("generating a password: %w", err)
	}
	return password, nil
}

// DeregisterRotationJob has nothing to do: the server runs no rotation jobs,
// and engines deregister at every configuration write.
func (v *systemView) DeregisterRotationJob(context.Context, *rotation.RotationJobDeregisterRequest) error {
	return nil
}
