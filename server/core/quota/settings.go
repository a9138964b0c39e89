package quota

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/novatech/securevault/server/store"
)

// settingsKey is where the settings are kept, beside the rules, whose names
// hold no slash.
const settingsKey = "config/settings"

// Settings hold for all rules. They are not changed once set.
type Settings struct {
	Exempt []string `json:"rate_limit_exempt_paths"` // whole paths, or their beginnings before "*"
	// Absolute is Exempt under the name that clients use who have namespaces.
	Absolute []string `json:"absolute_rate_limit_exempt_paths"`
	Audit    bool     `json:"enable_rate_limit_audit_logging"` // what is refused is told to the audit devices
}

// Settings returns what holds now.
func (k *Keeper) Settings() Settings { return *k.settings.Load() }

// Set replaces the settings.
func (k *Keeper) Set(ctx context.Context, s Settings) error {
	for _, path := range slices.Concat(s.Exempt, s.Absolute) {
		if at := strings.IndexByte(path, '*'); path == "" || at >= 0 && at < len(path)-1 || strings.HasPrefix(path, "/") {
			return fmt.Errorf("%w: exempt path %q: write a path like sys/health, or its beginning and *", ErrInvalid, path)
		}
	}
	k.changing.Lock()
	defer k.changing.Unlock()
	if err := store.PutJSON(ctx, k.storage, settingsKey, &s); err != nil {
		return err
	}
	k.settings.Store(&s)
	return nil
}

func (k *Keeper) restoreSettings(ctx context.Context) error {
	s, err := store.GetJSON[Settings](ctx, k.storage, settingsKey)
	if err != nil {
		return err
	}
	if s == nil {
		s = &Settings{}
	}
	k.settings.Store(s)
	return nil
}

// exempts reports whether no rule holds for a path.
func (s *Settings) exempts(path string) bool {
	fits := func(exempt string) bool {
		prefix, open := strings.CutSuffix(exempt, "*")
		return exempt == path || open && strings.HasPrefix(path, prefix)
	}
	return slices.ContainsFunc(s.Exempt, fits) || slices.ContainsFunc(s.Absolute, fits)
}
