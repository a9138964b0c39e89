package agent

import (
	"fmt"
	"slices"

	"github.com/novatech/securevault/agent/config"
	"github.com/novatech/securevault/internal/vault"
)

// clients are how the parts of the agent talk to the server. They share one
// budget of requests in flight and, unless a part must use each connection
// once, the connections.
type clients struct {
	auth, templates, proxy *vault.Client
}

func newClients(file *config.File, opts Options) (clients, error) {
	parts, err := withoutReuse(file, opts.Getenv)
	if err != nil {
		return clients{}, err
	}
	usual, err := vault.New(clientConfig(file, opts))
	if err != nil {
		return clients{}, err
	}
	once := usual
	if len(parts) > 0 {
		if once, err = usual.WithoutReuse(); err != nil {
			return clients{}, err
		}
	}
	choose := func(names ...string) *vault.Client {
		if slices.ContainsFunc(names, func(name string) bool { return slices.Contains(parts, name) }) {
			return once
		}
		return usual
	}
	return clients{
		auth: choose(config.PartAutoAuth), templates: choose(config.PartTemplating),
		proxy: choose(config.PartProxying, config.PartCaching),
	}, nil
}

// withoutReuse returns the parts that must not use a connection again: one
// that keeps none idle cannot. The environment goes before the file.
func withoutReuse(file *config.File, getenv func(string) string) ([]string, error) {
	var all []string
	for name, written := range map[string][]string{
		"AGENT_DISABLE_IDLE_CONNECTIONS": file.DisableIdleConnections,
		"AGENT_DISABLE_KEEP_ALIVES":      file.DisableKeepAlives,
	} {
		for _, prefix := range []string{"VAULT_", "SECUREVAULT_"} {
			list := getenv(prefix + name)
			if list == "" {
				continue
			}
			parts, err := config.ParseParts(list)
			if err != nil {
				return nil, fmt.Errorf("reading %s: %w", prefix+name, err)
			}
			written = parts
		}
		all = append(all, written...)
	}
	return all, nil
}
