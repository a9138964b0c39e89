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
// nothing. What cannot be trusted is warned of, and not used.
func openState(file *config.File, server vault.Config, getenv func(string) string, log *zap.Logger) (*state.Log, error) {
	if file.State == nil {
		return nil, nil
	}
	opened, warnings, err := state.Open(state.Config{
		Path:   file.State.Path,
		Key:    state.Key{File: file.State.KeyFile, Credential: file.State.Credential},
		Origin: origin(file, server),
		Getenv: getenv,
	})
	if err != nil {
		return nil, failure{ExitConfig, fmt.Errorf("%s: %w", file.State.At, err)}
	}
	for _, warning := range warnings {
		log.Warn("state", zap.String("warning", warning))
	}
	return opened, nil
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
