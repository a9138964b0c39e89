package agent

import (
	"fmt"
	"strings"

	"go.uber.org/zap"

	"github.com/novatech/securevault/agent/config"
	"github.com/novatech/securevault/agent/state"
	"github.com/novatech/securevault/internal/vault"
)

// openState opens what outlives the agent, nil if the configuration keeps
// nothing, or if it lets the agent start without. What cannot be trusted is
// warned of, and not used.
func openState(file *config.File, server vault.Config, getenv func(string) string, log *zap.Logger) (*state.Log, error) {
	if file.State == nil {
		return nil, nil
	}
	opened, warnings, err := state.Open(stateConfig(file, server, getenv))
	switch {
	case err != nil && file.State.Optional:
		log.Warn("the agent starts without a state: the next start will log in and request everything anew", zap.Error(err))
		// Nobody else will ever revoke what this run holds.
		file.RevokeOnExit = !file.Has("revoke_on_exit") || file.RevokeOnExit
		return nil, nil
	case err != nil:
		return nil, failure{ExitConfig, fmt.Errorf("%s: %w", file.State.At, err)}
	}
	for _, warning := range warnings {
		log.Warn("state", zap.String("warning", warning))
	}
	return opened, nil
}

// stateConfig says where the state of a configuration is that has one.
func stateConfig(file *config.File, server vault.Config, getenv func(string) string) state.Config {
	return state.Config{
		Path:   file.State.Path,
		Key:    state.Key{File: file.State.KeyFile, Credential: file.State.Credential},
		Origin: origin(file, server),
		Getenv: getenv,
	}
}

// origin names what a state belongs to: leases of one server or login are of
// no use to another.
func origin(file *config.File, server vault.Config) string {
	parts := []string{server.Address, server.Namespace}
	if file.AutoAuth != nil {
		m := file.AutoAuth.Method
		parts = append(parts, m.Type, m.Namespace, m.MountPath)
	}
	return strings.Join(parts, " ")
}
